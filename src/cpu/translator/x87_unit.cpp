#include "cpu/translator/x87_unit.hpp"

#include "base/bytes.hpp"
#include "cpu/translator/native_block.hpp"
#include "cpu/x86/registers.hpp"
#include "cpu/x86/x87.hpp"

namespace strata::cpu::translator {

namespace {

// In the image.
constexpr std::size_t control = 0, status = 4, tags = 8, registers = 28, bytes_of_register = 10;

x86::Float80& st(x86::FpState& fp, unsigned i) { return fp.physical[(x86::stack_top(fp) + i) & 7]; }

const x86::Float80& st(const x86::FpState& fp, unsigned i) {
    return fp.physical[(x86::stack_top(fp) + i) & 7];
}

} // namespace

void X87Image::store_to(x86::FpState& fp) const {
    fp.fcw = load_le<std::uint16_t>(&bytes[control]);
    fp.fsw = load_le<std::uint16_t>(&bytes[status]);
    fp.abridged_tag = x86::abridge_tag_word(load_le<std::uint16_t>(&bytes[tags]));
    const std::uint8_t* from = &bytes[registers];
    for (unsigned i = 0; i < 8; ++i, from += bytes_of_register) {
        st(fp, i) = {load_le<std::uint64_t>(from), load_le<std::uint16_t>(from + 8)};
    }
}

// The unit looks only whether a register is empty: any other tag does.
void X87Image::load_from(const x86::FpState& fp) {
    unsigned empty = 0;
    for (unsigned i = 0; i < 8; ++i) {
        empty |= ((fp.abridged_tag >> i) & 1) != 0 ? 0U : 3U << (2 * i);
    }
    store_le(&bytes[control], fp.fcw);
    store_le(&bytes[status], fp.fsw);
    store_le(&bytes[tags], static_cast<std::uint16_t>(empty));
    std::uint8_t* to = &bytes[registers];
    for (unsigned i = 0; i < 8; ++i, to += bytes_of_register) {
        store_le(to, st(fp, i).significand);
        store_le(to + 8, st(fp, i).sign_exponent);
    }
}

void X87Unit::settle(x86::FpState& fp, const x86::SystemState& system) {
    if (place == in_image) {
        image.store_to(fp);
        place = in_state;
    }
    if (last != nullptr) {
        fp.fip = last->next_rip - last->insn->length;
        fp.fcs = system.segments[x86::cs].selector;
        fp.fop = static_cast<std::uint16_t>(last->insn->imm);
        last = nullptr;
    }
    if (operand_segment != no_operand) {
        fp.fdp = operand;
        fp.fds = system.segments[operand_segment].selector;
        operand_segment = no_operand;
    }
}

void X87Unit::look_at(const x86::FpState& fp, const x86::SystemState& system) {
    const bool usable = (system.cr0 & (x86::cr0::em | x86::cr0::ts)) == 0 &&
                        (fp.fcw & x86::fp_exception::all) == x86::fp_exception::all &&
                        (fp.fsw & x86::fsw::es) == 0;
    unusable = usable ? 0 : 1;
}

} // namespace strata::cpu::translator
