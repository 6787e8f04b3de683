#include "machine/loader/loader.hpp"

#include "machine/loader/byte_view.hpp"
#include "machine/loader/elf.hpp"
#include "machine/loader/linux_header.hpp"
#include "machine/loader/multiboot_header.hpp"

namespace strata::machine::loader {

Format detect_format(std::span<const std::byte> kernel) {
    const ByteView view(kernel);
    if (is_linux_image(view)) {
        return Format::linux_bzimage;
    }
    // A Multiboot header may sit in an ELF file: it is looked for first, since its author put it there.
    if (find_multiboot_header(view)) {
        return Format::multiboot;
    }
    return is_elf(view) ? Format::elf : Format::unknown;
}

std::string_view format_name(Format format) {
    switch (format) {
    case Format::linux_bzimage: return "Linux bzImage";
    case Format::multiboot: return "Multiboot";
    case Format::elf: return "ELF";
    case Format::unknown: break;
    }
    return "unknown";
}

Result<cpu::x86::State> load(const BootRequest& request, const BootTarget& target) {
    switch (detect_format(request.kernel.bytes)) {
    case Format::linux_bzimage: return load_linux(request, target);
    case Format::multiboot: return load_multiboot(request, target);
    case Format::elf: return load_pvh(request, target);
    case Format::unknown: break;
    }
    return fail("kernel " + request.kernel.name + ": not a kernel in a format known here",
                "give a Linux bzImage (vmlinuz), an ELF kernel with a PVH entry, or a Multiboot kernel");
}

} // namespace strata::machine::loader
