#include "image/registry/http.hpp"

#include "image/registry/curl.hpp"
#include "image/registry/tls_files.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <mutex>
#include <unistd.h>

namespace strata::image {
namespace {

constexpr std::size_t most_headers = 256U << 10;
constexpr long slowest = 1024, connect_seconds = 20, most_redirects = 5; // bytes a second

// Once Http::send() has seen that it loads.
const Curl& curl() { return *Curl::load(); }

struct FreeHandle {
    void operator()(CURL* handle) const { curl().easy_cleanup(handle); }
};

struct FreeList {
    void operator()(curl_slist* list) const { curl().slist_free_all(list); }
};

using Handle = std::unique_ptr<CURL, FreeHandle>;
using List = std::unique_ptr<curl_slist, FreeList>;

// What libcurl's callbacks work on.
struct Transfer {
    const HttpRequest& request;
    HttpAnswer answer{};
    std::size_t header_bytes = 0;
    std::uint64_t sent = 0;
    Error error{};

    std::size_t refuse(Error why) {
        error = std::move(why);
        return 0; // libcurl takes this for a failure
    }
};

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return result;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto begin = text.find_first_not_of(blanks);
    return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const std::string_view line(data, size * count);
    transfer.header_bytes += line.size();
    if (transfer.header_bytes > most_headers) {
        return transfer.refuse({"the answer's headers do not end"});
    }
    if (line.starts_with("HTTP/")) { // a new answer: the one before was a redirect
        const auto blank = line.find(' ');
        transfer.answer = {};
        transfer.answer.status = blank == line.npos ? 0 : std::strtol(line.data() + blank, nullptr, 10);
    } else if (const auto colon = line.find(':'); colon != line.npos) {
        transfer.answer.headers[lower(line.substr(0, colon))] = trim(line.substr(colon + 1));
    }
    return size * count;
}

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const std::string_view piece(data, size * count);
    if (transfer.request.sink && transfer.answer.ok()) {
        auto taken = transfer.request.sink(transfer.answer, std::as_bytes(std::span(piece)));
        return taken ? piece.size() : transfer.refuse(std::move(taken.error()));
    }
    if (transfer.answer.body.size() + piece.size() > transfer.request.most) {
        return transfer.refuse({fmt::format("the answer is longer than {} bytes", transfer.request.most)});
    }
    transfer.answer.body += piece;
    return piece.size();
}

std::size_t give_body(char* buffer, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const auto got = pread(transfer.request.file, buffer, size * count, static_cast<off_t>(transfer.sent));
    if (got < 0) {
        return CURL_READFUNC_ABORT;
    }
    transfer.sent += static_cast<std::uint64_t>(got);
    if (transfer.request.sent) {
        transfer.request.sent(transfer.sent);
    }
    return static_cast<std::size_t>(got);
}

int rewind_body(void* context, curl_off_t offset, int origin) {
    static_cast<Transfer*>(context)->sent = static_cast<std::uint64_t>(offset);
    return origin == SEEK_SET ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

bool is_https(std::string_view url) { return url.starts_with("https://"); }

void set_body(CURL* handle, Transfer& transfer) {
    const auto& request = transfer.request;
    if (request.file >= 0) {
        curl().easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        curl().easy_setopt(handle, CURLOPT_READFUNCTION, give_body);
        curl().easy_setopt(handle, CURLOPT_READDATA, &transfer);
        curl().easy_setopt(handle, CURLOPT_SEEKFUNCTION, rewind_body);
        curl().easy_setopt(handle, CURLOPT_SEEKDATA, &transfer);
        curl().easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.file_size));
    } else if (request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
        curl().easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        curl().easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
    } else if (request.method == "HEAD") {
        curl().easy_setopt(handle, CURLOPT_NOBODY, 1L);
    }
    if (request.method != "HEAD") {
        curl().easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
}

// Only downloads are redirected; from a registry that is reached safely only to where it is safe as well.
void set_ways(CURL* handle, const HttpRequest& request) {
    const bool reads = request.method == "GET" || request.method == "HEAD";
    const char* safe = is_https(request.url) ? "https" : "http,https";
    curl().easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl().easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, safe);
    curl().easy_setopt(handle, CURLOPT_FOLLOWLOCATION, reads ? 1L : 0L);
    curl().easy_setopt(handle, CURLOPT_MAXREDIRS, most_redirects);
}

void set_tls(CURL* handle, const std::string& host, const RegistrySettings& settings) {
    const auto files = find_tls_files(host);
    if (const auto& ca = settings.ca.empty() ? files.ca : settings.ca; !ca.empty()) {
        curl().easy_setopt(handle, CURLOPT_CAINFO, ca.c_str());
    }
    if (!files.certificate.empty()) {
        curl().easy_setopt(handle, CURLOPT_SSLCERT, files.certificate.c_str());
        curl().easy_setopt(handle, CURLOPT_SSLKEY, files.key.c_str());
    }
    if (!settings.verify_tls) {
        curl().easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
        curl().easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

std::string hint_for(CURLcode code) {
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return "if the registry has a certificate of your own making, put its CA into "
               "/etc/strata/certs.d/HOST[:PORT]/ca.crt, or name it as \"ca\" in registries.json";
    case CURLE_SSL_CONNECT_ERROR:
        return "a registry that speaks plain HTTP needs \"plain_http\": true in registries.json";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT: return "check the name and the port, and that the registry runs";
    case CURLE_UNSUPPORTED_PROTOCOL: return "the registry redirects to where Strata does not follow";
    default: return "";
    }
}

} // namespace

// Handles that rest keep their connections.
struct Http::Pool {
    std::mutex mutex;
    std::vector<Handle> idle;

    Handle take() {
        const std::scoped_lock lock(mutex);
        if (idle.empty()) {
            return Handle(curl().easy_init());
        }
        auto handle = std::move(idle.back());
        idle.pop_back();
        curl().easy_reset(handle.get());
        return handle;
    }

    void give(Handle handle) {
        const std::scoped_lock lock(mutex);
        idle.push_back(std::move(handle));
    }
};

Http::Http(std::string host, RegistrySettings settings, std::chrono::seconds stall)
    : host_(std::move(host)), settings_(std::move(settings)), stall_(stall), pool_(std::make_unique<Pool>()) {
}

Http::~Http() = default;

Result<HttpAnswer> Http::send(const HttpRequest& request) {
    if (const auto& loaded = Curl::load(); !loaded) {
        return std::unexpected(loaded.error());
    }
    auto handle = pool_->take();
    Transfer transfer{.request = request};
    List headers;
    for (const auto& header : request.headers) {
        headers.reset(curl().slist_append(headers.release(), header.c_str()));
    }
    headers.reset(
        curl().slist_append(headers.release(), "Expect:")); // registries answer early without being asked
    char message[CURL_ERROR_SIZE] = "";
    curl().easy_setopt(handle.get(), CURLOPT_URL, request.url.c_str());
    curl().easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
    curl().easy_setopt(handle.get(), CURLOPT_USERAGENT, "strata");
    curl().easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
    curl().easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, message);
    curl().easy_setopt(handle.get(), CURLOPT_HEADERFUNCTION, take_header);
    curl().easy_setopt(handle.get(), CURLOPT_HEADERDATA, &transfer);
    curl().easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, take_body);
    curl().easy_setopt(handle.get(), CURLOPT_WRITEDATA, &transfer);
    curl().easy_setopt(handle.get(), CURLOPT_CONNECTTIMEOUT, connect_seconds);
    curl().easy_setopt(handle.get(), CURLOPT_LOW_SPEED_LIMIT, slowest);
    curl().easy_setopt(handle.get(), CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall_.count()));
    set_body(handle.get(), transfer);
    set_ways(handle.get(), request);
    set_tls(handle.get(), host_, settings_);
    const auto code = curl().easy_perform(handle.get());
    pool_->give(std::move(handle));
    if (!transfer.error.message.empty()) {
        transfer.error.message = fmt::format("{}: {}", host_, transfer.error.message);
        return std::unexpected(std::move(transfer.error));
    }
    if (code != CURLE_OK) {
        const char* text = message[0] != '\0' ? message : curl().easy_strerror(code);
        return fail(fmt::format("{}: {}", host_, text), hint_for(code));
    }
    return std::move(transfer.answer);
}

std::string url_encode(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~").contains(c)) {
            encoded += c;
        } else {
            fmt::format_to(std::back_inserter(encoded), "%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return encoded;
}

} // namespace strata::image
