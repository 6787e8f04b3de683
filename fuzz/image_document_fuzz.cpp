// Bytes as a manifest, an index, a configuration and registry settings: what is accepted is written and read
// again.
#include "image/config.hpp"
#include "image/manifest.hpp"
#include "image/registry/settings.hpp"

#include <cstdlib>
#include <string_view>

using namespace strata::image;

namespace {

// What was accepted is accepted again as it is written, which then stays as it is.
template <class Document, class... Type>
void check(std::string_view text, Type... type) {
    const auto document = Document::parse(text, type..., "input");
    if (!document) {
        return;
    }
    const auto written = document->text();
    const auto again = Document::parse(written, type..., "input");
    if (!again || again->text() != written) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static_cast<void>(detect_media_type(text));
    check<Manifest>(text, media_type::oci_manifest);
    check<Index>(text, media_type::oci_index);
    check<Config>(text);
    if (const auto index = Index::parse(text, media_type::oci_index, "input")) {
        static_cast<void>(index->choose(Platform::host(), "input"));
    }
    Settings settings;
    static_cast<void>(settings.read(text, "input"));
    return 0;
}
