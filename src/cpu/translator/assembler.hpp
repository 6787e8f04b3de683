// The assembler with what every part of translation needs: the register convention, and the processor's
// state.
#pragma once

#include "cpu/translator/layout.hpp"

#include <array>
#include <optional>
#include <xbyak/xbyak.h>

namespace strata::cpu::translator {

// Which host register holds which guest register while translated code runs. rSP points at the state, rCX,
// R14 and R15 are free for address arithmetic (rCX because JRCXZ tests it without touching flags), so guest
// rCX and rSP are elsewhere, and R12 to R15 live in memory.
inline constexpr std::array<std::int8_t, 16> host_registers{0, 13, 2,  3,  12, 5,  6,  7,
                                                            8, 9,  10, 11, -1, -1, -1, -1};

[[nodiscard]] inline std::optional<unsigned> host_register(unsigned guest) {
    const int number = host_registers[guest];
    return number < 0 ? std::nullopt : std::optional(static_cast<unsigned>(number));
}

class Assembler : public Xbyak::CodeGenerator {
public:
    Assembler(const StateLayout& layout, std::uint8_t* at, std::size_t size)
        : Xbyak::CodeGenerator(size, at), layout_(layout) {}

    [[nodiscard]] const StateLayout& layout() const { return layout_; }

    [[nodiscard]] Xbyak::Address state(int offset) const { return qword[rsp + offset]; }

    [[nodiscard]] Xbyak::Address state32(int offset) const { return dword[rsp + offset]; }

    // In `scratch` if the guest register lives in memory.
    Xbyak::Reg64 guest(unsigned number, const Xbyak::Reg64& scratch) {
        if (const auto host = host_register(number)) {
            return Xbyak::Reg64(static_cast<int>(*host));
        }
        mov(scratch, state(layout_.reg(number)));
        return scratch;
    }

    // A constant in the shortest form.
    void constant(const Xbyak::Reg64& to, std::uint64_t value) {
        if (value <= 0xFFFF'FFFF) {
            mov(to.cvt32(), static_cast<std::uint32_t>(value));
        } else {
            mov(to, value);
        }
    }

    [[nodiscard]] std::uint8_t* here() { return const_cast<std::uint8_t*>(getCurr()); }

private:
    const StateLayout& layout_;
};

} // namespace strata::cpu::translator
