// The firmware configuration device: named blobs that the machine leaves for firmware and kernels. QEMU
// documentation, "QEMU Firmware Configuration (fw_cfg) Device" (docs/specs/fw_cfg).
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::devices {

class FwCfg final : public Device {
public:
    static constexpr DeviceInfo info{"fw_cfg", "Firmware configuration: named items, read by ports or DMA"};
    static constexpr std::uint16_t base = 0x510;

    explicit FwCfg(const Environment& environment);

    // Items by number, for those that the specification fixes.
    enum Key : std::uint16_t {
        signature = 0x00,
        id = 0x01,
        uuid = 0x02,
        ram_size = 0x03,
        no_graphic = 0x04,
        cpu_count = 0x05,
        kernel_address = 0x07,
        kernel_size = 0x08,
        initrd_address = 0x0A,
        initrd_size = 0x0B,
        boot_menu = 0x0E,
        max_cpus = 0x0F,
        kernel_entry = 0x10,
        kernel_data = 0x11,
        initrd_data = 0x12,
        command_line_address = 0x13,
        command_line_size = 0x14,
        command_line_data = 0x15,
        setup_address = 0x16,
        setup_size = 0x17,
        setup_data = 0x18,
        file_directory = 0x19,
        first_file = 0x20,
    };

    void add_item(std::uint16_t key, std::vector<std::byte> data);
    // A file in the directory; names have up to 55 characters. Replaces one of the same name.
    void add_file(std::string_view name, std::vector<std::byte> data);

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    struct File {
        std::string name;
        std::uint16_t key;
    };

    void select(std::uint16_t key);
    [[nodiscard]] std::span<const std::byte> rest() const; // of the selected item
    [[nodiscard]] std::uint8_t read_byte();
    void run_dma(std::uint64_t descriptor);
    [[nodiscard]] bool copy_to_guest(std::uint64_t address, std::uint32_t length);
    void rebuild_directory();

    Environment env_;
    std::map<std::uint16_t, std::vector<std::byte>> items_;
    std::vector<File> files_;
    std::uint16_t selected_ = 0;
    std::uint32_t position_ = 0;
    std::uint32_t dma_high_ = 0; // the upper half of the descriptor's address
};

} // namespace strata::devices
