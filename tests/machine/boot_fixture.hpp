// Guest memory to load kernels into, and images made byte by byte.
#pragma once

#include "base/bytes.hpp"
#include "machine/loader/loader.hpp"
#include "machine/memory_map.hpp"
#include "machine/tables/e820.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strata::machine::test {

using Bytes = std::vector<std::byte>;

template <std::integral T>
void put(Bytes& bytes, std::size_t offset, T value) {
    if (bytes.size() < offset + sizeof value) {
        bytes.resize(offset + sizeof value);
    }
    store_le(&bytes[offset], value);
}

inline void put_text(Bytes& bytes, std::size_t offset, std::string_view text) {
    if (bytes.size() < offset + text.size()) {
        bytes.resize(offset + text.size());
    }
    std::memcpy(&bytes[offset], text.data(), text.size());
}

class BootFixture : public testing::Test {
protected:
    explicit BootFixture(std::uint64_t memory_size = std::uint64_t{128} << 20) {
        memory_ = std::move(*memory::GuestMemory::create(memory_size));
        e820_ = e820_map(*memory_);
    }

    [[nodiscard]] loader::BootTarget target(bool long_mode = true) const {
        return {.memory = *memory_, .e820 = e820_, .rsdp = rsdp, .long_mode = long_mode};
    }

    static loader::BootRequest request(const Bytes& kernel, const std::string& command_line = {}) {
        return {.kernel = {"test-kernel", kernel}, .modules = {}, .command_line = command_line};
    }

    template <std::integral T>
    [[nodiscard]] T read(std::uint64_t address) const {
        T value{};
        EXPECT_TRUE(memory_->read(address, &value, sizeof value));
        return value;
    }

    [[nodiscard]] std::string read_string(std::uint64_t address) const {
        std::string text;
        for (char c = read<char>(address); c != 0; c = read<char>(++address)) {
            text.push_back(c);
        }
        return text;
    }

    [[nodiscard]] Bytes read_bytes(std::uint64_t address, std::size_t size) const {
        Bytes bytes(size);
        EXPECT_TRUE(memory_->read(address, bytes.data(), size));
        return bytes;
    }

    // The message of a load that must fail.
    [[nodiscard]] std::string refusal(const Bytes& kernel) const {
        const auto state = loader::load(request(kernel), target());
        return state ? "it was loaded" : state.error().message;
    }

    static constexpr std::uint64_t rsdp = 0xE'0040;

    std::unique_ptr<memory::GuestMemory> memory_;
    std::vector<E820Entry> e820_;
};

} // namespace strata::machine::test
