#include "image/registry/client.hpp"

#include "image/manifest.hpp"
#include "image/registry/challenge.hpp"

#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <thread>

namespace strata::image {
namespace {

constexpr int most_attempts = 5;

// Where a registry is really asked.
std::string endpoint(const std::string& host) { return host == docker_hub ? "registry-1.docker.io" : host; }

std::string accepted_types() {
    return fmt::format("Accept: {}, {}, {}, {}", media_type::oci_index, media_type::docker_index,
                       media_type::oci_manifest, media_type::docker_manifest);
}

// The registry's own words: {"errors":[{"code":…,"message":…}]}.
std::string message_in(const std::string& body) {
    const auto document = Json::parse(body, nullptr, false);
    if (!document.is_object() || !document.contains("errors") || !document["errors"].is_array() ||
        document["errors"].empty()) {
        return "";
    }
    const auto& first = document["errors"].front();
    if (!first.is_object() || !first.contains("message") || !first["message"].is_string()) {
        return "";
    }
    return first["message"].get<std::string>().substr(0, 300);
}

// The first byte's position in "Content-Range: bytes 100-199/200".
std::optional<std::uint64_t> range_start(const HttpAnswer& answer) {
    std::uint64_t start = 0;
    const auto range = answer.header("content-range");
    return std::sscanf(range.c_str(), "bytes %lu-", &start) == 1 ? std::optional(start) : std::nullopt;
}

// Sets the writer to where the answer begins, which is either what was asked for or the blob's beginning.
Result<void> resume(const HttpAnswer& answer, BlobWriter& writer) {
    if (answer.status != 206) { // the registry sends the whole
        return writer.restart();
    }
    if (range_start(answer) != writer.size()) {
        return fail("it sends another part of a blob than was asked for");
    }
    return {};
}

void wait_before_attempt(int attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(250 << attempt));
}

} // namespace

struct RegistryClient::Download {
    BlobWriter& writer;
    const std::atomic<bool>& stop;
    const std::function<void(std::uint64_t)>& progress;
    bool hopeless = false; // another attempt would fail as well
};

RegistryClient::RegistryClient(const Settings& settings, const std::string& host, std::string repository,
                               Access access, Credentials credentials)
    : host_(host), base_((settings.of(host).plain_http ? "http://" : "https://") + endpoint(host)),
      repository_(std::move(repository)), access_(access), credentials_(std::move(credentials)),
      http_(host, settings.of(host), settings.stall) {}

std::string RegistryClient::url(const std::string& rest) const { return base_ + "/v2/" + repository_ + rest; }

std::unexpected<Error> RegistryClient::refusal(const std::string& what, const HttpAnswer& answer) const {
    const auto words = message_in(answer.body);
    std::string hint;
    if (answer.status == 401 || answer.status == 403) {
        hint = fmt::format("if it is private, log in: strata login {}", host_);
    } else if (answer.status == 429) {
        hint = fmt::format(
            "it limits how much one may fetch: wait, log in (strata login {}), or use a mirror", host_);
    }
    auto error = fail(
        fmt::format("{}: {}: status {}{}{}", host_, what, answer.status, words.empty() ? "" : ", ", words),
        std::move(hint));
    return error;
}

// A Location may be relative, and is followed by hand: never from https to a plainer way.
Result<std::string> RegistryClient::resolve(const std::string& location) const {
    if (location.starts_with("/")) {
        return base_ + location;
    }
    if (location.starts_with("https://") ||
        (location.starts_with("http://") && base_.starts_with("http://"))) {
        return location;
    }
    return fail(fmt::format("{}: it wants an upload at '{}', which is no safe place", host_,
                            location.substr(0, 200)));
}

Result<HttpAnswer> RegistryClient::request(HttpRequest request, const std::string& more_scope) {
    const auto plain_headers = request.headers;
    for (bool asked = false;; asked = true) {
        request.headers = plain_headers;
        {
            const std::scoped_lock lock(mutex_);
            if (!authorization_.empty() && request.url.starts_with(base_ + "/")) { // nobody else's business
                request.headers.push_back("Authorization: " + authorization_);
            }
        }
        auto answer = http_.send(request);
        if (!answer || answer->status != 401 || asked) {
            return answer;
        }
        if (auto authenticated = authenticate(*answer, more_scope); !authenticated) {
            return std::unexpected(authenticated.error());
        }
    }
}

Result<void> RegistryClient::authenticate(const HttpAnswer& refused, const std::string& more_scope) {
    const auto challenge = Challenge::parse(refused.header("www-authenticate"));
    const std::scoped_lock lock(mutex_);
    if (challenge.scheme == "basic") {
        if (credentials_.user.empty()) {
            return fail(fmt::format("{}: a user name and a password are needed", host_),
                        fmt::format("log in: strata login {}", host_));
        }
        authorization_ = "Basic " + base64_encode(credentials_.user + ":" + credentials_.secret);
        return {};
    }
    if (challenge.scheme != "bearer") {
        return refusal("it asks for a way of logging in that is not known", refused);
    }
    auto token = fetch_token(challenge.get("realm"), challenge.get("service"), more_scope);
    if (!token) {
        return std::unexpected(token.error());
    }
    authorization_ = "Bearer " + *token;
    return {};
}

Result<std::string> RegistryClient::fetch_token(const std::string& realm, const std::string& service,
                                                const std::string& more_scope) {
    // Credentials go there: never over a plainer way than to the registry itself.
    if (!realm.starts_with("https://") && !(realm.starts_with("http://") && base_.starts_with("http://"))) {
        return fail(fmt::format("{}: it names no safe place for tokens: '{}'", host_, realm.substr(0, 200)));
    }
    std::string query = "service=" + url_encode(service);
    if (!repository_.empty()) {
        query += "&scope=" + url_encode(fmt::format("repository:{}:{}", repository_,
                                                    access_ == Access::push ? "pull,push" : "pull"));
    }
    if (!more_scope.empty()) {
        query += "&scope=" + url_encode(more_scope);
    }
    HttpRequest token_request{.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") + query};
    if (!credentials_.identity_token.empty()) {
        token_request = {.method = "POST",
                         .url = realm,
                         .headers = {"Content-Type: application/x-www-form-urlencoded"},
                         .body = query + "&grant_type=refresh_token&client_id=strata&refresh_token=" +
                                 url_encode(credentials_.identity_token)};
    } else if (!credentials_.user.empty()) {
        token_request.headers.push_back("Authorization: Basic " +
                                        base64_encode(credentials_.user + ":" + credentials_.secret));
    }
    const auto answer = http_.send(token_request);
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (!answer->ok()) {
        return refusal("it gives no token", *answer);
    }
    const auto document = Json::parse(answer->body, nullptr, false);
    for (const char* name : {"token", "access_token"}) {
        if (document.is_object() && document.contains(name) && document[name].is_string()) {
            auto token = document[name].get<std::string>();
            if (token.find_first_of("\r\n") == std::string::npos && !token.empty()) {
                return token;
            }
        }
    }
    return fail(fmt::format("{}: no token is in its answer", host_));
}

Result<void> RegistryClient::check_login() {
    const auto answer = request({.url = base_ + "/v2/"});
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (!answer->ok()) {
        auto error = refusal("login", *answer);
        error.error().hint = answer->status == 401 ? "check the user name and the password" : "";
        return error;
    }
    return {};
}

Result<HttpAnswer> RegistryClient::get(const std::string& path) {
    return request({.url = base_ + "/v2/" + path});
}

Result<FetchedDocument> RegistryClient::fetch_document(const std::string& reference) {
    auto answer = request(
        {.url = url("/manifests/" + reference), .headers = {accepted_types()}, .most = largest_document});
    if (!answer) {
        return std::unexpected(answer.error());
    }
    const auto what = fmt::format("manifest of {}:{}", repository_, reference);
    if (!answer->ok()) {
        return refusal(what, *answer);
    }
    auto type = answer->header("content-type");
    type = type.substr(0, type.find(';'));
    if (const auto kind = media_type_of(type).kind; kind != Kind::manifest && kind != Kind::index) {
        return fail(fmt::format("{}: {} is of type '{}', which is not supported", host_, what, type),
                    "the image may be of the old schema 1: push it anew with a current tool");
    }
    auto descriptor = describe(type, answer->body);
    for (const auto& expected : {reference, answer->header("docker-content-digest")}) {
        const auto digest = Digest::parse(expected);
        if (!digest) {
            continue; // a tag
        }
        Hasher hasher(digest->algorithm());
        hasher.update(std::as_bytes(std::span(answer->body)));
        if (hasher.digest() != *digest) {
            return fail(fmt::format("{}: {} has the digest {}, not {}", host_, what, hasher.digest().text(),
                                    digest->text()),
                        "it was damaged or changed on its way, or at its source");
        }
        descriptor.digest = *digest;
    }
    return FetchedDocument{std::move(descriptor), std::move(answer->body)};
}

Result<void> RegistryClient::fetch_rest(const Descriptor& blob, Download& download) {
    HttpRequest get{.url = url("/blobs/" + blob.digest.text())};
    const auto begin = download.writer.size();
    if (begin > 0) {
        get.headers.push_back(fmt::format("Range: bytes={}-", begin));
    }
    download.hopeless = false;
    bool begun = begin == 0;
    get.sink = [&](const HttpAnswer& answer, std::span<const std::byte> data) -> Result<void> {
        auto taken = download.stop ? fail("stopped")
                     : begun       ? Result<void>{}
                                   : resume(answer, download.writer);
        begun = true;
        if (taken && download.writer.size() + data.size() > blob.size) {
            taken = fail(fmt::format("blob {} is longer than the {} bytes that its manifest says",
                                     blob.digest.text(), blob.size),
                         "it was damaged or changed on its way, or at its source; nothing of it was kept");
            download.writer.discard();
        }
        if (taken) {
            taken = download.writer.write(data);
        }
        download.hopeless = !taken;
        download.progress(download.writer.size());
        return taken;
    };
    const auto answer = request(std::move(get));
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (answer->status == 416) { // there is nothing behind what an earlier pull left, so that was wrong
        return download.writer.restart();
    }
    if (!answer->ok()) {
        download.hopeless = answer->status < 500;
        return refusal("blob " + blob.digest.text(), *answer);
    }
    return {};
}

Result<void> RegistryClient::fetch_blob(const Descriptor& blob, BlobWriter& writer,
                                        const std::atomic<bool>& stop,
                                        const std::function<void(std::uint64_t)>& progress) {
    if (writer.size() > blob.size) {
        if (auto restarted = writer.restart(); !restarted) {
            return restarted;
        }
    }
    Download download{.writer = writer, .stop = stop, .progress = progress};
    for (int attempt = 0; writer.size() < blob.size; ++attempt) {
        const auto fetched = fetch_rest(blob, download);
        const bool last = attempt + 1 == most_attempts || stop;
        if (!fetched && (download.hopeless || last)) {
            return fetched;
        }
        if (fetched && writer.size() < blob.size && last) {
            return fail(fmt::format("{}: blob {} ends after {} of {} bytes", host_, blob.digest.text(),
                                    writer.size(), blob.size));
        }
        if (writer.size() < blob.size) {
            wait_before_attempt(attempt);
        }
    }
    return {};
}

Result<bool> RegistryClient::has_blob(const Digest& digest) {
    const auto answer = request({.method = "HEAD", .url = url("/blobs/" + digest.text())});
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (!answer->ok() && answer->status != 404) {
        return refusal("blob " + digest.text(), *answer);
    }
    return answer->ok();
}

Result<bool> RegistryClient::mount_blob(const Digest& digest, const std::string& from) {
    const auto scope = fmt::format("repository:{}:pull", from);
    const auto answer = request({.method = "POST",
                                 .url = url(fmt::format("/blobs/uploads/?mount={}&from={}",
                                                        url_encode(digest.text()), url_encode(from)))},
                                scope);
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (answer->status == 202) { // it began an upload instead, which is given up
        const auto location = resolve(answer->header("location"));
        const auto given_up = location ? request({.method = "DELETE", .url = *location})
                                       : Result<HttpAnswer>(std::unexpected(location.error()));
        return given_up ? Result<bool>(false) : std::unexpected(given_up.error());
    }
    return answer->status == 201;
}

Result<void> RegistryClient::push_blob(const Descriptor& blob, int file,
                                       const std::function<void(std::uint64_t)>& progress) {
    const auto what = "upload of " + blob.digest.text();
    Result<void> outcome;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const auto begun = request({.method = "POST", .url = url("/blobs/uploads/")});
        if (begun && begun->status != 202) {
            return refusal(what, *begun);
        }
        const auto location =
            begun ? resolve(begun->header("location")) : Result<std::string>(std::unexpected(begun.error()));
        if (begun && !location) {
            return std::unexpected(location.error());
        }
        const auto done =
            !begun ? Result<HttpAnswer>(std::unexpected(begun.error()))
                   : request({.method = "PUT",
                              .url = *location + (location->find('?') == std::string::npos ? "?" : "&") +
                                     "digest=" + url_encode(blob.digest.text()),
                              .headers = {"Content-Type: application/octet-stream"},
                              .file = file,
                              .file_size = blob.size,
                              .sent = progress});
        if (done && done->status < 500) {
            return done->status == 201 ? Result<void>{} : refusal(what, *done);
        }
        outcome = done ? Result<void>(refusal(what, *done)) : std::unexpected(done.error());
        wait_before_attempt(attempt);
    }
    return outcome;
}

Result<void> RegistryClient::push_document(const std::string& reference, const Descriptor& descriptor,
                                           const std::string& text) {
    const auto answer = request({.method = "PUT",
                                 .url = url("/manifests/" + reference),
                                 .headers = {"Content-Type: " + descriptor.media_type},
                                 .body = text});
    if (!answer) {
        return std::unexpected(answer.error());
    }
    return answer->ok() ? Result<void>{}
                        : refusal(fmt::format("manifest of {}:{}", repository_, reference), *answer);
}

} // namespace strata::image
