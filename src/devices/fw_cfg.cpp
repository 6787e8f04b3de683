#include "devices/fw_cfg.hpp"

#include "base/bytes.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace strata::devices {
namespace {

enum RegionIndex : unsigned { selector_and_data, dma_address };

constexpr std::uint64_t data_offset = 1; // of port 0x511
constexpr std::uint32_t features = 0b11; // the ports, and DMA

// What the DMA address register reads, so that a driver can tell that it is there.
constexpr std::string_view dma_signature = "QEMU CFG";

// The DMA descriptor: control, length, address, in big endian.
constexpr std::uint64_t descriptor_size = 16;
constexpr std::uint32_t dma_error = 1 << 0, dma_read = 1 << 1, dma_skip = 1 << 2, dma_select = 1 << 3,
                        dma_write = 1 << 4;

constexpr std::uint16_t key_mask = 0x3FFF; // bits 15 and 14 say architecture-local and write
constexpr std::size_t name_size = 56, entry_size = 64;

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

} // namespace

FwCfg::FwCfg(const Environment& environment) : env_(environment) {
    add_item(signature, bytes_of("QEMU"));
    std::vector<std::byte> feature_bits(4);
    store_le(feature_bits.data(), features);
    add_item(id, std::move(feature_bits));
    rebuild_directory();
}

void FwCfg::add_item(std::uint16_t key, std::vector<std::byte> data) {
    items_[key & key_mask] = std::move(data);
}

void FwCfg::add_file(std::string_view name, std::vector<std::byte> data) {
    name = name.substr(0, name_size - 1);
    const auto found = std::ranges::find(files_, name, &File::name);
    const auto key =
        found != files_.end() ? found->key : static_cast<std::uint16_t>(first_file + files_.size());
    if (found == files_.end()) {
        files_.push_back({std::string(name), key});
    }
    add_item(key, std::move(data));
    rebuild_directory();
}

void FwCfg::rebuild_directory() {
    std::vector<std::byte> directory(4 + files_.size() * entry_size);
    store_be(directory.data(), static_cast<std::uint32_t>(files_.size()));
    std::byte* entry = directory.data() + 4;
    for (const File& file : files_) {
        store_be(entry, static_cast<std::uint32_t>(items_[file.key].size()));
        store_be(entry + 4, file.key);
        std::memcpy(entry + 8, file.name.data(), file.name.size());
        entry += entry_size;
    }
    add_item(file_directory, std::move(directory));
}

std::vector<Region> FwCfg::regions() const {
    return {{"fw_cfg", Space::port, base, 2, 1, 2}, {"fw_cfg-dma", Space::port, base + 4, 8, 1, 4}};
}

void FwCfg::select(std::uint16_t key) {
    selected_ = key & key_mask;
    position_ = 0;
}

std::span<const std::byte> FwCfg::rest() const {
    const auto found = items_.find(selected_);
    if (found == items_.end() || position_ >= found->second.size()) {
        return {};
    }
    return std::span(found->second).subspan(position_);
}

std::uint8_t FwCfg::read_byte() {
    const auto data = rest();
    if (data.empty()) {
        return 0;
    }
    ++position_;
    return static_cast<std::uint8_t>(data.front());
}

std::uint64_t FwCfg::read(unsigned region, std::uint64_t offset, unsigned size) {
    if (region == selector_and_data) {
        return offset == data_offset ? read_byte() : 0;
    }
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        value |= std::uint64_t{static_cast<std::uint8_t>(dma_signature[offset + i])} << (i * 8);
    }
    return value;
}

void FwCfg::write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) {
    if (region == selector_and_data) {
        if (offset == 0 && size == 2) {
            select(static_cast<std::uint16_t>(value));
        }
        return;
    }
    // The address is big endian; writing its lower half starts the transfer.
    if (size == 4) {
        const std::uint32_t half = byte_swap(static_cast<std::uint32_t>(value));
        if (offset == 0) {
            dma_high_ = half;
        } else {
            run_dma(std::uint64_t{std::exchange(dma_high_, 0U)} << 32 | half);
        }
    }
}

bool FwCfg::copy_to_guest(std::uint64_t address, std::uint32_t length) {
    std::byte* to = env_.memory.host(address, length);
    if (to == nullptr) {
        return false;
    }
    const auto data = rest();
    const std::size_t there = std::min<std::size_t>(data.size(), length);
    std::copy_n(data.begin(), there, to);
    std::fill(to + there, to + length, std::byte{0}); // past the end reads as zeros
    env_.memory.written(address, length);
    return true;
}

void FwCfg::run_dma(std::uint64_t descriptor) {
    std::array<std::byte, descriptor_size> raw{};
    if (!env_.memory.read(descriptor, raw.data(), raw.size())) {
        return; // nowhere to report it
    }
    const auto control = load_be<std::uint32_t>(&raw[0]);
    const auto length = load_be<std::uint32_t>(&raw[4]);
    const auto address = load_be<std::uint64_t>(&raw[8]);
    if (control & dma_select) {
        select(static_cast<std::uint16_t>(control >> 16));
    }
    bool good = true;
    if (control & dma_read) {
        good = length == 0 || copy_to_guest(address, length);
    } else if (control & dma_write) {
        good = false; // no item can be written
    }
    if (good && (control & (dma_read | dma_skip)) != 0) {
        const auto step = static_cast<std::uint32_t>(std::min<std::size_t>(rest().size(), length));
        position_ += step;
    }
    std::array<std::byte, 4> result{};
    store_be(result.data(), good ? 0U : dma_error);
    (void)env_.memory.write(descriptor, result.data(), result.size()); // readable RAM is writable
}

void FwCfg::reset() {
    select(signature);
    dma_high_ = 0;
}

void FwCfg::visit(StateVisitor& visitor) {
    visitor.field("selected", selected_);
    visitor.field("position", position_);
    visitor.field("dma_high", dma_high_);
}

} // namespace strata::devices
