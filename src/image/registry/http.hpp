// HTTP for registries, by libcurl: bounded answers, streams in both directions, and redirects that lead
// nowhere unsafe (never from https to http, never to another scheme, never with credentials to another host).
#pragma once

#include "base/error.hpp"
#include "image/registry/settings.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace strata::image {

struct HttpAnswer {
    long status = 0;
    std::map<std::string, std::string> headers{}; // names in lower case
    std::string body{};

    [[nodiscard]] std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? "" : found->second;
    }

    [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
};

struct HttpRequest {
    std::string method = "GET", url{};
    std::vector<std::string> headers{};
    std::string body{};
    // Instead of `body`: an open file, from its beginning.
    int file = -1;
    std::uint64_t file_size = 0;
    std::uint64_t most = 4U << 20; // a longer answer is an error
    // Takes the content of an answer of success, instead of the answer's body. It is shown the status and
    // headers.
    std::function<Result<void>(const HttpAnswer&, std::span<const std::byte>)> sink{};
    std::function<void(std::uint64_t)> sent{}; // is told how much of the file went out
};

// Connections to one registry; any number of threads.
class Http {
public:
    // `host` chooses certificates, `settings` says how it is reached.
    Http(std::string host, RegistrySettings settings, std::chrono::seconds stall);
    ~Http();
    Http(const Http&) = delete;
    Http& operator=(const Http&) = delete;

    // The answer, whatever its status; an error when there is none.
    [[nodiscard]] Result<HttpAnswer> send(const HttpRequest& request);

private:
    struct Pool;

    std::string host_;
    RegistrySettings settings_;
    std::chrono::seconds stall_;
    std::unique_ptr<Pool> pool_;
};

// Text with all but letters, digits and "-._~" written as %XX.
[[nodiscard]] std::string url_encode(std::string_view text);

} // namespace strata::image
