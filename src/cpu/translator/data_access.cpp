// Guest memory from translated code: a look-up in the TLB's arrays that leaves the flags alone.
#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using Xbyak::Label;
using Xbyak::Reg64;
using Xbyak::RegExp;

namespace {

constexpr bool fits_displacement(std::int64_t value) { return value == static_cast<std::int32_t>(value); }

} // namespace

// Uses `to`, and R15 if two registers live in memory.
void BlockCompiler::put_address(const Reg64& to, const EffectiveAddress& address, std::int64_t extra) {
    if (address.base == EffectiveAddress::none && address.index == EffectiveAddress::none) {
        a.constant(to, static_cast<std::uint64_t>(address.displacement + extra));
    } else {
        RegExp sum;
        if (address.base != EffectiveAddress::none) {
            sum = sum + a.guest(static_cast<unsigned>(address.base), to);
        }
        if (address.index != EffectiveAddress::none) {
            const bool taken =
                address.base != EffectiveAddress::none && !host_register(static_cast<unsigned>(address.base));
            sum = sum + a.guest(static_cast<unsigned>(address.index), taken ? a.r15 : to) *
                            static_cast<int>(address.scale);
        }
        a.lea(to, a.ptr[sum + static_cast<std::size_t>(address.displacement + extra)]);
    }
    if (address.segment != EffectiveAddress::none) {
        a.mov(a.r15, a.state(layout.segment_base(static_cast<unsigned>(address.segment))));
        a.lea(to, a.ptr[to + a.r15]);
    }
}

void BlockCompiler::look_up(const EffectiveAddress& address, unsigned size, Access access) {
    Label hit;
    const int tags = access == Access::write ? layout.write_tags(view_) : layout.read_tags(view_);
    put_address(a.rcx, address);
    a.pext(a.r14, a.rcx, a.state(layout.index_mask));
    if (size > 1) {
        a.lea(a.rcx, a.ptr[a.rcx + static_cast<int>(size - 1)]);
    }
    a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + tags]);
    a.pext(a.rcx, a.rcx, a.state(layout.page_mask));
    a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
    a.jrcxz(hit);
    a.jmp(slow_path(), Assembler::T_NEAR);
    a.L(hit);
    a.mov(a.r14, a.qword[a.rsp + a.r14 * 8 + layout.addends(view_)]);
}

RegExp BlockCompiler::host_address(const EffectiveAddress& address) {
    const bool simple = address.index == EffectiveAddress::none &&
                        address.segment == EffectiveAddress::none && fits_displacement(address.displacement);
    if (simple && address.base != EffectiveAddress::none) {
        if (const auto base = host_register(static_cast<unsigned>(address.base))) {
            return Reg64(static_cast<int>(*base)) + a.r14 + static_cast<std::size_t>(address.displacement);
        }
    }
    put_address(a.rcx, address);
    return a.rcx + a.r14;
}

} // namespace strata::cpu::translator
