// What translating made of a piece of guest code, as a value: host code, and all that belongs to it. It does
// not depend on where it will lie, who will run it, or (by whole pages) at which linear address the guest's
// code is. One run of bytes, as it is kept for other processors and in files.
#pragma once

#include "cpu/translator/block_compiler.hpp"
#include "cpu/translator/relocation.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace strata::cpu::translator {

// What translated code depends on besides the guest's bytes.
struct TraceKey {
    std::uint64_t models = 0; // of the guest's processor and the host's: fingerprint()
    std::uint16_t offset = 0; // of the first instruction, in its page
    std::uint16_t mode = 0;   // CodeMode::key()
    std::uint8_t plain = 0, unrolled = 0, smap = 0, counted = 0; // 0 or 1

    bool operator==(const TraceKey&) const = default;
};

class CompiledTrace {
public:
    struct Instruction {
        std::uint16_t offset; // in its page
        std::uint16_t mnemonic;
        std::uint8_t length, leaves;
    };

    static constexpr std::uint32_t nowhere = ~std::uint32_t{0}; // of offsets in the host's code

    struct Branch {          // a Link
        std::int32_t target; // from the first instruction
        std::uint32_t jump, page_id, unlinked;
        std::uint8_t vectors_loaded, plain, polls, backward;
    };

    struct Handled { // a Trap
        std::uint32_t instruction, handler;
    };

    struct Place { // a RegionUse
        std::uint16_t last, instruction;
        std::uint8_t writes;
        std::array<std::uint8_t, 3> unused;
    };

    struct Header {
        TraceKey key;
        std::uint32_t size; // of all
        std::uint32_t head; // bytes of the guest's, from the first on, by which it is looked for
        // How many of each follow, in this order.
        std::uint32_t relocations, branches, handled, places, instructions, guest, code;
        std::uint32_t round; // Trace::round()
        std::uint32_t start,
            start_with_vectors; // NativeBlock's, in the host's code, which begins with `entry`
        std::uint8_t uses_vectors, uses_x87;
        std::array<std::uint8_t, 6> unused;
    };

    // What was compiled, where it lies.
    struct Compiled {
        const NativeBlock& native;
        const Trace& trace;
        std::span<const std::uint8_t> page; // of the guest
        std::span<const std::uint8_t> code;
        std::span<const Trap> traps;
        std::span<const Note> notes;
        const Stubs& stubs;
        const StateLayout& layout;
    };

    // Empty: something in it is not to be expressed.
    [[nodiscard]] static std::optional<CompiledTrace> of(const TraceKey& key, std::size_t head,
                                                         const Compiled& compiled);
    // From who knows where: empty unless each number in it is within its limits.
    [[nodiscard]] static std::optional<CompiledTrace> parse(std::span<const std::byte> bytes);

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

    [[nodiscard]] const Header& header() const { return *reinterpret_cast<const Header*>(bytes_.data()); }

    [[nodiscard]] std::span<const Relocation> relocations() const;
    [[nodiscard]] std::span<const Branch> branches() const;
    [[nodiscard]] std::span<const Handled> handled() const;
    [[nodiscard]] std::span<const Place> places() const;
    [[nodiscard]] std::span<const Instruction> instructions() const;

    // Of one round, in the order of the instructions.
    [[nodiscard]] std::span<const std::uint8_t> guest() const;
    [[nodiscard]] std::span<const std::uint8_t> code() const;

    // Whether the guest's page holds what this was made of.
    [[nodiscard]] bool made_of(const std::byte* page) const;
    // Of the page: what it was made of.
    [[nodiscard]] std::uint64_t granules() const;

    bool operator==(const CompiledTrace& other) const;

private:
    explicit CompiledTrace(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

    [[nodiscard]] bool within_limits() const;
    [[nodiscard]] static bool names_something(const Relocation& relocation, const Header& header);

    std::vector<std::byte> bytes_;
};

} // namespace strata::cpu::translator
