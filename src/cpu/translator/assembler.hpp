// The assembler with what every part of translation needs: where guest registers are, the processor's state,
// and notes of what is another value elsewhere.
#pragma once

#include "cpu/translator/label.hpp"
#include "cpu/translator/layout.hpp"
#include "cpu/translator/register_map.hpp"
#include "cpu/translator/relocation.hpp"

#include <cstring>
#include <optional>
#include <utility>
#include <vector>
#include <xbyak/xbyak.h>

namespace strata::cpu::translator {

// Whether the 32 bits of an immediate or a displacement, which are extended by their sign, are all of it.
[[nodiscard]] constexpr bool fits_immediate(std::uint64_t value) {
    return static_cast<std::int64_t>(value) == static_cast<std::int32_t>(value);
}

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

    // ---- labels ----

    void L(Label& label) {
        label.at_ = here();
        for (std::uint8_t* at = std::exchange(label.last_near_, nullptr); at != nullptr;) {
            std::uint32_t before = 0;
            std::memcpy(&before, at, sizeof before);
            const auto distance = static_cast<std::int32_t>(label.at_ - (at + 4));
            std::memcpy(at, &distance, sizeof distance);
            at = before == 0 ? nullptr : at - before;
        }
        for (std::uint8_t* at = std::exchange(label.last_short_, nullptr); at != nullptr;) {
            const std::uint8_t before = *at;
            *at = short_distance(at, label);
            at = before == 0 ? nullptr : at - before;
        }
    }

    using Xbyak::CodeGenerator::call, Xbyak::CodeGenerator::jmp;

    // T_AUTO: short if the label is near already, or unknown.
    void jmp(Label& label, LabelType type = T_AUTO) {
        if (is_short(label, type)) {
            db(0xEB);
            short_jump(label);
        } else {
            db(0xE9);
            near_jump(label);
        }
    }

    // If the condition holds that opcodes have by that number.
    void jump_if(unsigned condition, Label& label, LabelType type = T_AUTO) {
        if (is_short(label, type)) {
            db(0x70 | static_cast<int>(condition));
            short_jump(label);
        } else {
            db(0x0F);
            db(0x80 | static_cast<int>(condition));
            near_jump(label);
        }
    }

    void jo(Label& label, LabelType type = T_AUTO) { jump_if(0, label, type); }

    void jc(Label& label, LabelType type = T_AUTO) { jump_if(2, label, type); }

    void je(Label& label, LabelType type = T_AUTO) { jump_if(4, label, type); }

    void jne(Label& label, LabelType type = T_AUTO) { jump_if(5, label, type); }

    void jrcxz(Label& label) {
        db(0xE3);
        short_jump(label);
    }

    // ---- what is another value elsewhere ----

    // From here on, notes go to `notes`; null: nowhere.
    void note_in(std::vector<Note>* notes) { notes_ = notes; }

    // What was emitted last ends with such a value.
    void note(Relocation::Kind kind, std::uint64_t value) {
        if (notes_ != nullptr) {
            notes_->push_back({static_cast<std::uint32_t>(getSize() - size_of(kind)), kind, value});
        }
    }

    // Likewise, at `at`.
    void note(Relocation::Kind kind, std::uint64_t value, const std::uint8_t* at) {
        if (notes_ != nullptr) {
            notes_->push_back({static_cast<std::uint32_t>(at - getCode()), kind, value});
        }
    }

    // What was emitted last ends with `distance` from the processor's state, which may be that of a region.
    void note_state(int distance) {
        if (distance >= layout_.region(0) && distance < layout_.region(Regions::capacity)) {
            note(Relocation::Kind::region, static_cast<std::uint64_t>(distance));
        }
    }

    void call(const std::uint8_t* stub) {
        call(static_cast<const void*>(stub));
        note(Relocation::Kind::stub, reinterpret_cast<std::uintptr_t>(stub));
    }

    void jmp(const std::uint8_t* stub, LabelType type) {
        jmp(static_cast<const void*>(stub), type);
        note(Relocation::Kind::stub, reinterpret_cast<std::uintptr_t>(stub));
    }

    // The address of a Site, a Link or a TLB set: of one length, whatever it is.
    void address(const Xbyak::Reg64& to, Relocation::Kind kind, const void* object) {
        constexpr int rex_w = 0x48, mov = 0xB8;
        const auto value = reinterpret_cast<std::uintptr_t>(object);
        db(rex_w | to.getIdx() >> 3);
        db(mov | (to.getIdx() & 7));
        dq(value);
        note(kind, value);
    }

    // A linear address that goes where the guest's code goes.
    void linear(const Xbyak::Reg64& to, std::uint64_t value) {
        constant(to, value);
        const auto as_signed = static_cast<std::int64_t>(value);
        note(value <= 0xFFFF'FFFF                                ? Relocation::Kind::linear_unsigned
             : as_signed == static_cast<std::int32_t>(as_signed) ? Relocation::Kind::linear_signed
                                                                 : Relocation::Kind::linear,
             value);
    }

private:
    // From behind the 8-bit distance at `at`.
    static std::uint8_t short_distance(const std::uint8_t* at, const Label& label) {
        const std::ptrdiff_t distance = label.at_ - (at + 1);
        if (distance != static_cast<std::int8_t>(distance)) {
            throw Xbyak::Error(Xbyak::ERR_LABEL_IS_TOO_FAR);
        }
        return static_cast<std::uint8_t>(distance);
    }

    // Whether a jump that is emitted now reaches the label by 8 bits.
    [[nodiscard]] bool is_short(const Label& label, LabelType type) {
        constexpr int bytes = 2;
        return type != T_NEAR && (label.at_ == nullptr || here() + bytes - label.at_ <= 128);
    }

    void short_jump(Label& label) {
        std::uint8_t* const at = here();
        db(0);
        if (label.at_ != nullptr) {
            *at = short_distance(at, label);
            return;
        }
        const std::ptrdiff_t before = label.last_short_ == nullptr ? 0 : at - label.last_short_;
        if (before > 127) {
            throw Xbyak::Error(Xbyak::ERR_LABEL_IS_TOO_FAR);
        }
        *at = static_cast<std::uint8_t>(before);
        label.last_short_ = at;
    }

    void near_jump(Label& label) {
        std::uint8_t* const at = here();
        if (label.at_ != nullptr) {
            dd(static_cast<std::uint32_t>(label.at_ - (at + 4)));
            return;
        }
        dd(label.last_near_ == nullptr ? 0 : static_cast<std::uint32_t>(at - label.last_near_));
        label.last_near_ = at;
    }

    const StateLayout& layout_;
    const RegisterMap* map_ = &usual_registers;
    std::vector<Note>* notes_ = nullptr;
};

} // namespace strata::cpu::translator
