// Bytes as a qcow2 image: opened, read, written and closed, and what is left opened again.
#include "backends/block/block.hpp"
#include "base/file_descriptor.hpp"

#include <array>
#include <span>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using namespace strata;

void use(backends::BlockBackend& disk) {
    std::array<std::byte, 4096> bytes{};
    const auto last = disk.size() - bytes.size();
    for (const auto offset : {std::uint64_t{0}, disk.size() / 3, last}) {
        static_cast<void>(disk.read(offset, bytes));
        static_cast<void>(disk.zeroes_at(offset));
        if (!disk.read_only()) {
            static_cast<void>(disk.write(offset + 100, std::span(bytes).first(1000)));
            static_cast<void>(disk.write_zeroes(offset, 700));
            static_cast<void>(disk.discard(offset, bytes.size()));
            static_cast<void>(disk.write(offset, bytes));
        }
    }
    static_cast<void>(disk.flush());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const FileDescriptor file(memfd_create("image", MFD_CLOEXEC));
    if (::write(file.get(), data, size) != static_cast<ssize_t>(size)) {
        return -1;
    }
    const auto path = "/proc/self/fd/" + std::to_string(file.get());
    static_cast<void>(backends::image_info(path));
    for (const bool read_only : {true, false, true}) {
        const auto disk = backends::open_image(path, {.format = "qcow2", .read_only = read_only});
        if (disk && (*disk)->size() >= 4096) {
            use(**disk);
        }
    }
    return 0;
}
