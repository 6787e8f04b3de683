// libcurl, loaded when a registry is first asked.
#pragma once

#include "base/error.hpp"

#include <curl/curl.h>

namespace strata::image {

// Its functions, by their names without "curl_".
struct Curl {
    decltype(&curl_easy_init) easy_init;
    decltype(&curl_easy_setopt) easy_setopt;
    decltype(&curl_easy_perform) easy_perform;
    decltype(&curl_easy_reset) easy_reset;
    decltype(&curl_easy_cleanup) easy_cleanup;
    decltype(&curl_easy_strerror) easy_strerror;
    decltype(&curl_slist_append) slist_append;
    decltype(&curl_slist_free_all) slist_free_all;

    // Any thread. The same answer each time.
    [[nodiscard]] static const Result<Curl>& load();
};

} // namespace strata::image
