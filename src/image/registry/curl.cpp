#include "image/registry/curl.hpp"

#include "base/late_library.hpp"

namespace strata::image {
namespace {

Result<Curl> load_now() {
    auto library = LateLibrary::open("libcurl.so.4", "libcurl4");
    if (!library) {
        return std::unexpected(library.error());
    }
    Curl curl{};
    decltype(&curl_global_init) global_init = nullptr;
    library->find("curl_global_init", global_init)
        .find("curl_easy_init", curl.easy_init)
        .find("curl_easy_setopt", curl.easy_setopt)
        .find("curl_easy_perform", curl.easy_perform)
        .find("curl_easy_reset", curl.easy_reset)
        .find("curl_easy_cleanup", curl.easy_cleanup)
        .find("curl_easy_strerror", curl.easy_strerror)
        .find("curl_slist_append", curl.slist_append)
        .find("curl_slist_free_all", curl.slist_free_all);
    if (auto found = library->complete(); !found) {
        return std::unexpected(found.error());
    }
    global_init(CURL_GLOBAL_DEFAULT);
    return curl;
}

} // namespace

const Result<Curl>& Curl::load() {
    static const Result<Curl> curl = load_now();
    return curl;
}

} // namespace strata::image
