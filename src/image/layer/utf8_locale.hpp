// libarchive turns the names in archives into the locale's encoding, and gives none where it has no letters
// for them. Names in layers are UTF-8, whatever the user's locale is.
#pragma once

#include <clocale>

namespace strata::image {

// While it lives the calling thread's names are UTF-8.
class Utf8Locale {
public:
    Utf8Locale() : before_(uselocale(shared())) {}

    ~Utf8Locale() { uselocale(before_); }

    Utf8Locale(const Utf8Locale&) = delete;
    Utf8Locale& operator=(const Utf8Locale&) = delete;

private:
    static locale_t shared() {
        static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
        return locale; // null, where there is none, leaves the locale as it is
    }

    locale_t before_;
};

} // namespace strata::image
