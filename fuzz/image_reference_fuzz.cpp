// Bytes as an image's name, a digest, a platform, and a registry's challenge: what is accepted is written and
// read again as the same.
#include "image/descriptor.hpp"
#include "image/reference.hpp"
#include "image/registry/challenge.hpp"

#include <cstdlib>
#include <string_view>

using namespace strata::image;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto name = Reference::parse(text)) {
        const auto again = Reference::parse(name->text());
        const auto familiar = Reference::parse(name->familiar());
        if (!again || *again != *name || !familiar || *familiar != *name) {
            std::abort();
        }
    }
    static_cast<void>(candidates(text, {"quay.io", "lab.example:5000"}));
    if (const auto digest = Digest::parse(text); digest && digest->text() != text) {
        std::abort();
    }
    static_cast<void>(Platform::parse(text));
    static_cast<void>(Challenge::parse(text));
    return 0;
}
