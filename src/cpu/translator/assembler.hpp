// The assembler with what every part of translation needs: where guest registers are, and the processor's
// state.
#pragma once

#include "cpu/translator/layout.hpp"
#include "cpu/translator/register_map.hpp"

#include <optional>
#include <xbyak/xbyak.h>

namespace strata::cpu::translator {

class Assembler : public Xbyak::CodeGenerator {
public:
    Assembler(const StateLayout& layout, std::uint8_t* at, std::size_t size)
        : Xbyak::CodeGenerator(size, at), layout_(layout) {}

    [[nodiscard]] const StateLayout& layout() const { return layout_; }

    [[nodiscard]] Xbyak::Address state(int offset) const { return qword[rsp + offset]; }

    [[nodiscard]] Xbyak::Address state32(int offset) const { return dword[rsp + offset]; }

    // What holds guest registers from here on; outlives the code's making.
    void use(const RegisterMap& map) { map_ = &map; }

    // Empty if the guest register lives in memory.
    [[nodiscard]] std::optional<unsigned> host_register(unsigned guest) const { return map_->host(guest); }

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
    const RegisterMap* map_ = &usual_registers;
};

} // namespace strata::cpu::translator
