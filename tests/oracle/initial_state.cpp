#include "initial_state.hpp"

#include "base/bytes.hpp"
#include "cpu/x86/registers.hpp"
#include "values.hpp"

#include <cstring>

namespace strata::oracle {

namespace {

namespace flag = cpu::x86::flag;

Lane random_lane(Random& random) {
    constexpr std::array lanes{Lane::integer, Lane::float16, Lane::float32, Lane::float64, Lane::bytes};
    return random.pick(lanes);
}

std::uint64_t random_flags(Random& random) {
    std::uint64_t flags = flag::fixed | flag::if_ | (random.next() & flag::arithmetic);
    const auto sometimes = [&](unsigned percent, std::uint64_t bit) {
        if (random.chance(percent)) {
            flags |= bit;
        }
    };
    sometimes(25, flag::df);
    sometimes(3, flag::tf);
    sometimes(4, flag::ac);
    sometimes(10, flag::id);
    sometimes(10, flag::rf);
    return flags;
}

void randomize_vectors(Random& random, XsaveArea& fp) {
    const Lane lane = random_lane(random);
    for (auto& xmm : fp.xmm) {
        const Lane own = random.chance(80) ? lane : random_lane(random);
        fill_lanes(random, own, std::span(reinterpret_cast<std::uint8_t*>(xmm.data()), sizeof xmm));
    }
    for (auto& high : fp.ymm_high) {
        fill_lanes(random, lane, std::span(reinterpret_cast<std::uint8_t*>(high.data()), sizeof high));
    }
    if (random.chance(30)) { // equal operands
        fp.xmm[random.below(16)] = fp.xmm[random.below(16)];
    }
}

void randomize_x87_registers(Random& random, XsaveArea& fp) {
    const bool mmx_like = random.chance(30);
    for (auto& st : fp.st) {
        auto value = float80_value(random);
        if (mmx_like) {
            std::uint64_t bits = 0;
            fill_lanes(random, random_lane(random),
                       std::span(reinterpret_cast<std::uint8_t*>(&bits), sizeof bits));
            value = {bits, 0xFFFF};
        }
        store_le(st.data(), value.significand);
        store_le(st.data() + 8, value.sign_exponent);
    }
}

} // namespace

std::uint32_t host_mxcsr_mask() {
    alignas(16) std::array<std::uint8_t, 512> image{};
    asm volatile("fxsave %0" : "+m"(image));
    const auto mask = load_le<std::uint32_t>(image.data() + 28);
    return mask != 0 ? mask : 0xFFBF;
}

void randomize_fp_control(Random& random, XsaveArea& fp) {
    constexpr std::uint16_t exceptions = 0x3F, summary = 0x8080, precision_and_rounding = 0xF00;
    fp.fcw = static_cast<std::uint16_t>(0x37F | (random.next() & precision_and_rounding));
    if (random.chance(60)) {
        fp.fcw = static_cast<std::uint16_t>(0x37F | (random.next() & 0xC00)); // 64-bit precision
    }
    if (random.chance(20)) {
        fp.fcw = static_cast<std::uint16_t>((fp.fcw & ~exceptions) | (random.next() & exceptions));
    }
    if (random.chance(10)) {
        fp.fcw ^= 0x1000; // infinity control: kept, without effect
    }
    constexpr std::uint16_t conditions_and_top = 0x7F00, stack_fault = 0x40;
    fp.fsw = static_cast<std::uint16_t>(random.next() & conditions_and_top);
    if (random.chance(40)) {
        fp.fsw = static_cast<std::uint16_t>(fp.fsw | (random.next() & (exceptions | stack_fault)));
        const bool pending = random.chance(10);
        if (pending) {
            fp.fsw |= static_cast<std::uint16_t>((fp.fsw & ~fp.fcw & exceptions) != 0 ? summary : 0);
        } else {
            fp.fsw = static_cast<std::uint16_t>(fp.fsw & ~(exceptions & ~fp.fcw));
        }
    }
    fp.tags = random.chance(60) ? 0xFF : static_cast<std::uint8_t>(random.next());
    // AMD's processors restore the pointers only with a pending exception, else they are 0.
    const bool keeps_pointers = fp.fsw & 0x80;
    fp.fop = static_cast<std::uint16_t>(keeps_pointers ? random.next() & 0x7FF : 0);
    fp.fip = keeps_pointers ? random.next() & 0xFFFF'FFFF : 0;
    fp.fdp = keeps_pointers ? random.next() & 0xFFFF'FFFF : 0;

    constexpr std::uint32_t masks = 0x1F80, rounding = 0x6000, daz = 0x40, ftz = 0x8000;
    fp.mxcsr = masks | (static_cast<std::uint32_t>(random.next()) & (exceptions | rounding));
    if (random.chance(20)) {
        fp.mxcsr = (fp.mxcsr & ~masks) | (static_cast<std::uint32_t>(random.next()) & masks);
    }
    fp.mxcsr |= random.chance(20) ? static_cast<std::uint32_t>(random.next()) & (daz | ftz) : 0;
    static const std::uint32_t supported = host_mxcsr_mask();
    fp.mxcsr &= supported;
}

namespace {

Selectors selectors_for(Random& random, unsigned code_width) {
    const auto window_fs = local_selector(LocalIndex::window),
               flat_gs = local_selector(LocalIndex::offset_flat);
    switch (code_width) {
    case 64: {
        const std::uint16_t other = random.chance(80) ? flat_data : 0;
        return {flat_data, flat_code64, flat_data, other, 0, 0};
    }
    case 32:
        return {flat_data, local_selector(LocalIndex::flat_code32), flat_data, flat_data, window_fs, flat_gs};
    default: {
        const auto data = local_selector(LocalIndex::data16);
        return {data, local_selector(LocalIndex::code16), data, data, window_fs, flat_gs};
    }
    }
}

} // namespace

void randomize(Random& random, unsigned code_width, TestCase& input) {
    for (auto& value : input.registers.gpr) {
        value = integer_value(random);
        if (code_width != 64) {
            value &= 0xFFFF'FFFF;
        }
    }
    const std::uint64_t stack = stack_begin + page / 2 + random.below(page / 4);
    auto& rsp = input.registers.gpr[cpu::x86::rsp];
    rsp = random.chance(80) ? stack & ~std::uint64_t{7} : stack;
    if (code_width == 16) {
        rsp -= arena;
    }
    input.registers.rflags = random_flags(random);
    input.registers.selectors = selectors_for(random, code_width);

    input.fp = {};
    randomize_fp_control(random, input.fp);
    randomize_vectors(random, input.fp);
    randomize_x87_registers(random, input.fp);

    for (std::size_t i = 0; i < variable_pages.size(); ++i) {
        if (executable(rights[variable_pages[i]])) {
            input.memory[i].fill(code_filler);
        } else {
            fill_lanes(random, Lane::bytes, input.memory[i]);
        }
    }
}

} // namespace strata::oracle
