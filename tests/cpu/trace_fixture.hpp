// Pieces of code that differ by a number, and traces of them.
#pragma once

#include "cpu/translator/listing.hpp"
#include "cpu/translator/trace_store.hpp"

#include <array>
#include <cstring>
#include <gtest/gtest.h>

namespace strata::cpu::translator {

class TraceStoreTest : public ::testing::Test {
protected:
    using Bytes = std::vector<std::uint8_t>;

    static constexpr std::uint64_t code_at = 0x40'1230;

    // mov eax, NUMBER; push rax; jz +5; call +0x1000; ret
    static Bytes numbered(std::uint32_t number) {
        Bytes code{0xB8, 0, 0, 0, 0, 0x50, 0x74, 0x05, 0xE8, 0x00, 0x10, 0x00, 0x00, 0xC3};
        std::memcpy(code.data() + 1, &number, sizeof number);
        return code;
    }

    CompiledTrace made_of(const Bytes& code) {
        return listing_.copies(code, code_at, {.user = true}, {}, nullptr).trace.value();
    }

    // As Listing keys it.
    static TraceKey key() { return {.offset = code_at % memory::page_size}; }

    static std::array<std::byte, memory::page_size> page_with(const Bytes& code) {
        std::array<std::byte, memory::page_size> page{};
        std::memcpy(page.data() + code_at % memory::page_size, code.data(), code.size());
        page[code_at % memory::page_size + code.size()] = std::byte{0xF4}; // as Listing ends it
        return page;
    }

    static TraceStore::Found find(TraceStore& store, const TraceKey& key, const Bytes& code) {
        return store.find(key, std::span(code).first(1), page_with(code).data()); // as Listing notes its head
    }

    Bytes one_ = numbered(1), two_ = numbered(2);
    const x86::Model& model_ = *x86::find_model("max").value();
    Listing listing_{model_, model_};
};

} // namespace strata::cpu::translator
