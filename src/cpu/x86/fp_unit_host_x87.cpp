// The x87 half of the floating-point seam on an x86-64 host: the host's own unit computes.
//
// Between calls the unit is as the ABI wants it: control word 037F, empty stack. Register forms are emitted
// by opcode, so that one template serves all; a memory operand's address is in RAX.
//
// With all exceptions masked (nearly always) the result and the status word are all there is to fetch. With
// one unmasked, the instruction runs under the guest's masks: the hardware then gives the unmasked response,
// and keeps the exception pending, which no instruction used until FNCLEX, FNINIT or FNSAVE delivers.
#include "cpu/x86/fp_unit_x87.hpp"

#include "cpu/x86/x87.hpp"

#if defined(__x86_64__)

#include <type_traits>

namespace strata::cpu::x86::fp_unit {

namespace {

// SDM volume 2, appendix B: the escape opcode and its ModRM byte.
struct Opcode {
    std::uint8_t escape, modrm;
};

#define STRATA_X87_STACK "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

bool all_masked(Mode mode) { return (mode.control & fp_exception::all) == fp_exception::all; }

// The unit under the guest's precision and rounding control, for the lifetime of the object, with no flag set
// that the guest's status word lacks.
class GuestControl {
public:
    explicit GuestControl(Mode mode)
        : differs_((mode.control & fcw::precision_and_rounding) !=
                   (fcw::initial & fcw::precision_and_rounding)) {
        Status before;
        asm volatile("fnstsw %0" : "=a"(before));
        if ((before & ~mode.raised & fp_exception::all) != 0) {
            asm volatile("fnclex");
        }
        if (differs_) {
            load(mode.control | fp_exception::all);
        }
    }

    ~GuestControl() {
        if (differs_) {
            load(fcw::initial);
        }
    }

    GuestControl(const GuestControl&) = delete;
    GuestControl& operator=(const GuestControl&) = delete;

private:
    static void load(unsigned control) {
        const auto word = static_cast<std::uint16_t>(control);
        asm volatile("fldcw %0" : : "m"(word));
    }

    bool differs_;
};

// What FNSAVE stores in 32-bit format.
struct [[gnu::packed]] Image {
    std::uint16_t control, reserved0, status, reserved1, tag, reserved2;
    std::uint32_t instruction_pointer, selector_and_opcode, operand_pointer, operand_selector;

    struct [[gnu::packed]] {
        std::uint64_t significand;
        std::uint16_t sign_exponent;
    } stack[8];

    [[nodiscard]] Float80 st(unsigned i) const {
        return {.significand = stack[i].significand, .sign_exponent = stack[i].sign_exponent};
    }

    // How many values the instruction left.
    [[nodiscard]] unsigned depth() const { return (8U - ((status & fsw::top) >> fsw::top_shift)) & 7; }
};

static_assert(sizeof(Image) == 108);

Status reported(unsigned status, unsigned conditions) {
    return static_cast<Status>(status & (fp_exception::all | conditions));
}

// FNSTSW comes before the result is stored: AX must not be what an operand is addressed by.

// ---- ST(0) op ST(1) to ST(0), the stack as deep after as before ----

template <Opcode opcode>
Status replace_st0(Mode mode, Float80& st0, const Float80& st1) {
    Status status;
    if (all_masked(mode)) {
        const GuestControl control(mode);
        asm volatile(
            "fldt %[st1]; fldt %[st0]; .byte %c[escape], %c[modrm]; fnstsw %%ax; fstpt %[st0]; fstp %%st"
            : [st0] "+m"(st0), "=&a"(status)
            : [st1] "m"(st1), [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
            : STRATA_X87_STACK);
    } else {
        asm volatile(
            "fnclex; fldcw %[control]; fldt %[st1]; fldt %[st0]; .byte %c[escape], %c[modrm]; fnstsw %%ax;"
            "fnclex; fstpt %[st0]; fninit"
            : [st0] "+m"(st0), "=&a"(status)
            : [st1] "m"(st1), [control] "m"(mode.control), [escape] "i"(opcode.escape),
              [modrm] "i"(opcode.modrm)
            : STRATA_X87_STACK);
    }
    return status;
}

// ---- op ST(0) to ST(0) ----

template <Opcode opcode>
Status replace_st0(Mode mode, Float80& st0) {
    Status status;
    if (all_masked(mode)) {
        const GuestControl control(mode);
        asm volatile("fldt %[st0]; .byte %c[escape], %c[modrm]; fnstsw %%ax; fstpt %[st0]"
                     : [st0] "+m"(st0), "=&a"(status)
                     : [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
                     : STRATA_X87_STACK);
    } else {
        asm volatile("fnclex; fldcw %[control]; fldt %[st0]; .byte %c[escape], %c[modrm]; fnstsw %%ax;"
                     "fnclex; fstpt %[st0]; fninit"
                     : [st0] "+m"(st0), "=&a"(status)
                     : [control] "m"(mode.control), [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
                     : STRATA_X87_STACK);
    }
    return status;
}

// ---- ST(0) op memory to ST(0) ----

template <Opcode opcode, class Source>
Status replace_st0_from_memory(Mode mode, Float80& st0, const Source& source) {
    auto rax = reinterpret_cast<std::uintptr_t>(&source); // then the status, in its low half
    if (all_masked(mode)) {
        const GuestControl control(mode);
        asm volatile("fldt %[st0]; .byte %c[escape], %c[modrm]; fnstsw %%ax; fstpt %[st0]"
                     : [st0] "+m"(st0), "+&a"(rax)
                     : "m"(source), [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
                     : STRATA_X87_STACK);
    } else {
        asm volatile(
            "fnclex; fldcw %[control]; fldt %[st0]; .byte %c[escape], %c[modrm]; fnstsw %%ax;"
            "fnclex; fstpt %[st0]; fninit"
            : [st0] "+m"(st0), "+&a"(rax)
            : "m"(source), [control] "m"(mode.control), [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
            : STRATA_X87_STACK);
    }
    return static_cast<Status>(rax);
}

// ---- ST(0) to memory, popping ----

template <Opcode opcode, class Destination>
Status pop_to_memory(Mode mode, const Float80& source, Destination& result) {
    Status status;
    if (all_masked(mode)) {
        const GuestControl control(mode);
        asm volatile(
            "fldt %[source]; .byte %c[escape], %c[modrm]; fnstsw %%ax"
            : "+m"(result), "=a"(status)
            : "a"(&result), [source] "m"(source), [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
            : STRATA_X87_STACK);
    } else {
        asm volatile(
            "fnclex; fldcw %[control]; fldt %[source]; .byte %c[escape], %c[modrm]; fnstsw %%ax; fninit"
            : "+m"(result), "=a"(status)
            : "a"(&result), [source] "m"(source), [control] "m"(mode.control), [escape] "i"(opcode.escape),
              [modrm] "i"(opcode.modrm)
            : STRATA_X87_STACK);
    }
    return status;
}

// ---- instructions that leave another number of values than they find: the whole unit is looked at ----

template <Opcode opcode>
Image run(Mode mode, const Float80& st0, const Float80* st1 = nullptr) {
    Image image;
    asm volatile("fnclex; fldcw %0" : : "m"(mode.control));
    if (st1 != nullptr) {
        asm volatile("fldt %[st1]; fldt %[st0]; .byte %c[escape], %c[modrm]; fnsave %[image]"
                     : [image] "=m"(image)
                     : [st0] "m"(st0), [st1] "m"(*st1), [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
                     : STRATA_X87_STACK);
    } else {
        asm volatile("fldt %[st0]; .byte %c[escape], %c[modrm]; fnsave %[image]"
                     : [image] "=m"(image)
                     : [st0] "m"(st0), [escape] "i"(opcode.escape), [modrm] "i"(opcode.modrm)
                     : STRATA_X87_STACK);
    }
    return image;
}

// ---- which opcode ----

constexpr std::uint8_t memory_modrm(unsigned extension) { return static_cast<std::uint8_t>(extension << 3); }

// The escape byte of arithmetic and comparison with a memory operand of this type.
template <class Source>
constexpr std::uint8_t memory_escape() {
    if constexpr (std::is_same_v<Source, Float32>) {
        return 0xD8;
    } else if constexpr (std::is_same_v<Source, std::int32_t>) {
        return 0xDA;
    } else if constexpr (std::is_same_v<Source, Float64>) {
        return 0xDC;
    } else {
        static_assert(std::is_same_v<Source, std::int16_t>);
        return 0xDE;
    }
}

template <Unary operation>
constexpr Opcode unary_opcode() {
    switch (operation) {
    case Unary::two_to_x_minus_1: return {0xD9, 0xF0};
    case Unary::square_root: return {0xD9, 0xFA};
    case Unary::round_to_integer: return {0xD9, 0xFC};
    case Unary::sine: return {0xD9, 0xFE};
    case Unary::cosine: return {0xD9, 0xFF};
    }
}

template <Adjust operation>
constexpr Opcode adjust_opcode() {
    switch (operation) {
    case Adjust::remainder_nearest: return {0xD9, 0xF5};
    case Adjust::remainder_truncating: return {0xD9, 0xF8};
    case Adjust::scale: return {0xD9, 0xFD};
    }
}

template <Binary operation>
constexpr Opcode binary_opcode() {
    switch (operation) {
    case Binary::y_log2_x: return {0xD9, 0xF1};
    case Binary::arctangent: return {0xD9, 0xF3};
    case Binary::y_log2_x_plus_1: return {0xD9, 0xF9};
    }
}

template <Pair operation>
constexpr Opcode pair_opcode() {
    switch (operation) {
    case Pair::tangent: return {0xD9, 0xF2};
    case Pair::extract: return {0xD9, 0xF4};
    case Pair::sine_cosine: return {0xD9, 0xFB};
    }
}

// FSTP and FISTP by type of destination.
template <class Destination>
constexpr Opcode narrow_opcode() {
    if constexpr (std::is_same_v<Destination, Float32>) {
        return {0xD9, memory_modrm(3)};
    } else if constexpr (std::is_same_v<Destination, Float64>) {
        return {0xDD, memory_modrm(3)};
    } else if constexpr (std::is_same_v<Destination, std::int32_t>) {
        return {0xDB, memory_modrm(3)};
    } else if constexpr (std::is_same_v<Destination, std::int16_t>) {
        return {0xDF, memory_modrm(3)};
    } else if constexpr (std::is_same_v<Destination, std::int64_t>) {
        return {0xDF, memory_modrm(7)};
    } else {
        static_assert(std::is_same_v<Destination, Bcd80>);
        return {0xDF, memory_modrm(6)};
    }
}

// FISTTP (SSE3).
template <class Destination>
constexpr Opcode truncate_opcode() {
    if constexpr (std::is_same_v<Destination, std::int32_t>) {
        return {0xDB, memory_modrm(1)};
    } else if constexpr (std::is_same_v<Destination, std::int64_t>) {
        return {0xDD, memory_modrm(1)};
    } else {
        static_assert(std::is_same_v<Destination, std::int16_t>);
        return {0xDF, memory_modrm(1)};
    }
}

} // namespace

template <Arithmetic operation, class Source>
Status arithmetic(Mode mode, Float80& destination, const Source& source) {
    constexpr auto extension = static_cast<unsigned>(operation);
    Status status;
    if constexpr (std::is_same_v<Source, Float80>) {
        constexpr Opcode opcode{0xD8, 0xC1 | memory_modrm(extension)};
        status = replace_st0<opcode>(mode, destination, source);
    } else {
        constexpr Opcode opcode{memory_escape<Source>(), memory_modrm(extension)};
        status = replace_st0_from_memory<opcode>(mode, destination, source);
    }
    return reported(status, fsw::c1);
}

template <class Source>
Status compare(Mode mode, const Float80& left, const Source& right) {
    Float80 st0 = left;
    if constexpr (std::is_same_v<Source, Float80>) {
        return reported(replace_st0<Opcode{0xD8, 0xD1}>(mode, st0, right), fsw::condition);
    } else {
        constexpr Opcode opcode{memory_escape<Source>(), memory_modrm(2)};
        return reported(replace_st0_from_memory<opcode>(mode, st0, right), fsw::condition);
    }
}

Status compare_unordered(Mode mode, const Float80& left, const Float80& right) {
    Float80 st0 = left;
    return reported(replace_st0<Opcode{0xDD, 0xE1}>(mode, st0, right), fsw::condition);
}

bool comparison_into_flags_clears_c1() {
    static const bool clears = [] {
        Status status;
        asm volatile("fld1; fchs; fxam; fcomi %%st(0), %%st; fnstsw %0; fstp %%st(0)" // C1 is the sign
                     : "=a"(status)
                     :
                     : "cc", STRATA_X87_STACK);
        return (status & fsw::c1) == 0;
    }();
    return clears;
}

template <Unary operation>
Status unary(Mode mode, Float80& operand) {
    constexpr bool has_range = operation == Unary::sine || operation == Unary::cosine;
    return reported(replace_st0<unary_opcode<operation>()>(mode, operand),
                    has_range ? fsw::c1 | fsw::c2 : fsw::c1);
}

template <Adjust operation>
Status adjust(Mode mode, Float80& st0, const Float80& st1) {
    return reported(replace_st0<adjust_opcode<operation>()>(mode, st0, st1),
                    operation == Adjust::scale ? fsw::c1 : fsw::condition);
}

template <Binary operation>
Status binary(Mode mode, Float80& st1, const Float80& st0) {
    const Image after = run<binary_opcode<operation>()>(mode, st0, &st1);
    if (after.depth() == 1) {
        st1 = after.st(0);
    }
    return reported(after.status, fsw::c1);
}

template <Pair operation>
Status pair(Mode mode, Float80& operand, Float80& pushed) {
    const Image after = run<pair_opcode<operation>()>(mode, operand);
    if (after.depth() == 2) {
        operand = after.st(1);
        pushed = after.st(0);
    }
    return reported(after.status, operation == Pair::extract ? fsw::c1 : fsw::c1 | fsw::c2);
}

template <class Destination>
Status narrow(Mode mode, const Float80& source, Destination& result) {
    return reported(pop_to_memory<narrow_opcode<Destination>()>(mode, source, result), fsw::c1);
}

template <class Destination>
Status truncate(Mode mode, const Float80& source, Destination& result) {
    return reported(pop_to_memory<truncate_opcode<Destination>()>(mode, source, result), fsw::c1);
}

// ---- the instantiations that the interface promises ----

#define STRATA_ARITHMETIC(OPERATION)                                                                         \
    template Status arithmetic<Arithmetic::OPERATION>(Mode, Float80&, const Float80&);                       \
    template Status arithmetic<Arithmetic::OPERATION>(Mode, Float80&, const Float32&);                       \
    template Status arithmetic<Arithmetic::OPERATION>(Mode, Float80&, const Float64&);                       \
    template Status arithmetic<Arithmetic::OPERATION>(Mode, Float80&, const std::int16_t&);                  \
    template Status arithmetic<Arithmetic::OPERATION>(Mode, Float80&, const std::int32_t&)

STRATA_ARITHMETIC(add);
STRATA_ARITHMETIC(multiply);
STRATA_ARITHMETIC(subtract);
STRATA_ARITHMETIC(subtract_reversed);
STRATA_ARITHMETIC(divide);
STRATA_ARITHMETIC(divide_reversed);

template Status compare(Mode, const Float80&, const Float80&);
template Status compare(Mode, const Float80&, const Float32&);
template Status compare(Mode, const Float80&, const Float64&);
template Status compare(Mode, const Float80&, const std::int16_t&);
template Status compare(Mode, const Float80&, const std::int32_t&);

template Status unary<Unary::square_root>(Mode, Float80&);
template Status unary<Unary::round_to_integer>(Mode, Float80&);
template Status unary<Unary::two_to_x_minus_1>(Mode, Float80&);
template Status unary<Unary::sine>(Mode, Float80&);
template Status unary<Unary::cosine>(Mode, Float80&);

template Status adjust<Adjust::scale>(Mode, Float80&, const Float80&);
template Status adjust<Adjust::remainder_truncating>(Mode, Float80&, const Float80&);
template Status adjust<Adjust::remainder_nearest>(Mode, Float80&, const Float80&);

template Status binary<Binary::arctangent>(Mode, Float80&, const Float80&);
template Status binary<Binary::y_log2_x>(Mode, Float80&, const Float80&);
template Status binary<Binary::y_log2_x_plus_1>(Mode, Float80&, const Float80&);

template Status pair<Pair::tangent>(Mode, Float80&, Float80&);
template Status pair<Pair::sine_cosine>(Mode, Float80&, Float80&);
template Status pair<Pair::extract>(Mode, Float80&, Float80&);

template Status narrow(Mode, const Float80&, Float32&);
template Status narrow(Mode, const Float80&, Float64&);
template Status narrow(Mode, const Float80&, std::int16_t&);
template Status narrow(Mode, const Float80&, std::int32_t&);
template Status narrow(Mode, const Float80&, std::int64_t&);
template Status narrow(Mode, const Float80&, Bcd80&);

template Status truncate(Mode, const Float80&, std::int16_t&);
template Status truncate(Mode, const Float80&, std::int32_t&);
template Status truncate(Mode, const Float80&, std::int64_t&);

} // namespace strata::cpu::x86::fp_unit

#endif
