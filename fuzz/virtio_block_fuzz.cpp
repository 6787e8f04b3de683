// A hostile driver for the disk.
#include "devices/virtio/block.hpp"
#include "virtio_driver.hpp"

#include <vector>

namespace {

using namespace strata;

// Every access is checked: the device has promised to stay within the disk.
class MemoryDisk final : public backends::BlockBackend {
public:
    [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }

    [[nodiscard]] bool read_only() const override { return false; }

    Result<void> read(std::uint64_t offset, std::span<std::byte> to) override {
        std::ranges::copy(part(offset, to.size()), to.begin());
        return {};
    }

    Result<void> write(std::uint64_t offset, std::span<const std::byte> from) override {
        std::ranges::copy(from, part(offset, from.size()).begin());
        return {};
    }

    Result<void> flush() override { return {}; }

    Result<void> discard(std::uint64_t offset, std::uint64_t length) override {
        static_cast<void>(part(offset, length));
        return {};
    }

    Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length) override {
        std::ranges::fill(part(offset, length), std::byte{0});
        return {};
    }

private:
    std::span<std::byte> part(std::uint64_t offset, std::uint64_t length) {
        if (offset > bytes_.size() || length > bytes_.size() - offset) {
            __builtin_trap();
        }
        return std::span(bytes_).subspan(offset, length);
    }

    std::vector<std::byte> bytes_{64 * 512};
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static MemoryDisk disk;
    static fuzz::VirtioDriver driver(
        [](const auto& environment) {
            return devices::virtio::create_block(environment, disk, {.serial = "fuzz", .queues = 2});
        },
        [](auto) {});
    driver.run({data, size});
    return 0;
}
