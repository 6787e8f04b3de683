// One repository of a registry: the distribution specification's pulls and pushes, with authentication.
#pragma once

#include "image/descriptor.hpp"
#include "image/reference.hpp"
#include "image/registry/credentials.hpp"
#include "image/registry/http.hpp"
#include "image/store/blobs.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

namespace strata::image {

struct FetchedDocument {
    Descriptor descriptor;
    std::string text;
};

enum class Access { pull, push };

class RegistryClient {
public:
    // `host` is where to ask: the registry of the image, or a mirror of it.
    RegistryClient(const Settings& settings, const std::string& host, std::string repository, Access access,
                   Credentials credentials);

    [[nodiscard]] const std::string& host() const { return host_; }

    // Asks for nothing but whether the credentials are good. Returns an identity token if the registry gives
    // one.
    [[nodiscard]] Result<void> check_login();

    // A manifest or an index by tag or digest; its digest is checked where it is asked for by digest.
    [[nodiscard]] Result<FetchedDocument> fetch_document(const std::string& reference);
    // The rest of a blob, into `writer`; goes on after breaks. Stops when `stop` is set.
    [[nodiscard]] Result<void> fetch_blob(const Descriptor& blob, BlobWriter& writer,
                                          const std::atomic<bool>& stop,
                                          const std::function<void(std::uint64_t)>& progress);

    [[nodiscard]] Result<bool> has_blob(const Digest& digest);
    // Lets the registry take the blob from another of its repositories; false when it does not.
    [[nodiscard]] Result<bool> mount_blob(const Digest& digest, const std::string& from);
    [[nodiscard]] Result<void> push_blob(const Descriptor& blob, int file,
                                         const std::function<void(std::uint64_t)>& progress);
    [[nodiscard]] Result<void> push_document(const std::string& reference, const Descriptor& descriptor,
                                             const std::string& text);

    // GET of a path below /v2/, for catalogs and lists of tags.
    [[nodiscard]] Result<HttpAnswer> get(const std::string& path);

private:
    struct Download;

    [[nodiscard]] std::string url(const std::string& rest) const;
    [[nodiscard]] Result<HttpAnswer> request(HttpRequest request, const std::string& more_scope = {});
    [[nodiscard]] Result<void> authenticate(const HttpAnswer& refused, const std::string& more_scope);
    [[nodiscard]] Result<std::string> fetch_token(const std::string& realm, const std::string& service,
                                                  const std::string& more_scope);
    [[nodiscard]] Result<void> fetch_rest(const Descriptor& blob, Download& download);
    [[nodiscard]] std::unexpected<Error> refusal(const std::string& what, const HttpAnswer& answer) const;
    [[nodiscard]] Result<std::string> resolve(const std::string& location) const;

    std::string host_, base_, repository_;
    Access access_;
    Credentials credentials_;
    Http http_;
    std::mutex mutex_;
    std::string authorization_;
};

} // namespace strata::image
