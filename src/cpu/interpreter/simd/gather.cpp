// AVX2 gathers. An element's bit of the mask is cleared as soon as the element has been loaded, so that a
// gather that faulted goes on where it stopped; at the end the mask is zero. SDM volume 2C, VGATHERDPS,
// VPGATHERDD and kin.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/masked_access.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <algorithm>

namespace strata::cpu::interpreter::simd {
namespace {

using std::int32_t, std::int64_t, std::uint32_t, std::uint64_t;

// A YMM register as it is while a gather changes it lane by lane.
template <class T>
class RegisterLanes {
public:
    RegisterLanes(Cpu& cpu, unsigned number) : lanes_(cpu.fp.ymm[number].lanes) {}

    [[nodiscard]] T get(std::size_t lane) const {
        T value;
        std::memcpy(&value, bytes() + lane * sizeof(T), sizeof(T));
        return value;
    }

    void set(std::size_t lane, T value) { std::memcpy(bytes() + lane * sizeof(T), &value, sizeof(T)); }

    void clear_from(std::size_t lane) {
        std::fill(bytes() + lane * sizeof(T), bytes() + sizeof lanes_, std::byte{0});
    }

private:
    [[nodiscard]] std::byte* bytes() const { return reinterpret_cast<std::byte*>(&lanes_); }

    std::array<uint64_t, 4>& lanes_;
};

// The destination is insn.reg, the mask vvvv, the index register insn.extra. As many elements as both the
// vector length's worth of data and of indices allow.
template <class Data, class Index, std::size_t blocks>
void gather(Cpu& cpu, const Insn& insn) {
    constexpr std::size_t count = 16 * blocks / std::max(sizeof(Data), sizeof(Index));
    RegisterLanes<Data> destination(cpu, insn.reg), mask(cpu, insn.vvvv);
    const RegisterLanes<Index> indices(cpu, insn.extra);
    // Mask lanes become their sign, so that their other bits do not outlive an interruption.
    for (std::size_t i = 0; i < count; ++i) {
        mask.set(i, is_selected(mask.get(i)) ? static_cast<Data>(~Data{0}) : Data{0});
    }
    const uint64_t base = cpu.regs[insn.base] + static_cast<uint64_t>(int64_t{insn.disp});
    for (std::size_t i = 0; i < count; ++i) {
        if (mask.get(i) != 0) {
            const auto index = static_cast<uint64_t>(int64_t{indices.get(i)});
            const uint64_t offset = Cpu::masked_address(insn, base + (index << insn.scale));
            destination.set(i, load_lane<Data>(cpu, insn, offset));
            mask.set(i, 0);
        }
    }
    destination.clear_from(count);
    mask.clear_from(0);
}

template <class Data, class Index>
Handler select_gather(const Decoded& decoded, Insn& insn) {
    const auto& memory = decoded.operands[1].mem;
    const unsigned index = static_cast<unsigned>(ZydisRegisterGetId(memory.index));
    // Destination, index and mask must be three registers.
    if (insn.reg == index || insn.reg == insn.vvvv || index == insn.vvvv) {
        return nullptr;
    }
    insn.extra = static_cast<std::uint8_t>(index);
    return select_form(decoded, insn, &gather<Data, Index, 1>, &gather<Data, Index, 2>);
}

constexpr Row rows[] = {
    STRATA_SSE(VGATHERDPS, select_gather<uint32_t, int32_t>),
    STRATA_SSE(VGATHERDPD, select_gather<uint64_t, int32_t>),
    STRATA_SSE(VGATHERQPS, select_gather<uint32_t, int64_t>),
    STRATA_SSE(VGATHERQPD, select_gather<uint64_t, int64_t>),
    STRATA_SSE(VPGATHERDD, select_gather<uint32_t, int32_t>),
    STRATA_SSE(VPGATHERDQ, select_gather<uint64_t, int32_t>),
    STRATA_SSE(VPGATHERQD, select_gather<uint32_t, int64_t>),
    STRATA_SSE(VPGATHERQQ, select_gather<uint64_t, int64_t>),
};

} // namespace

constinit const Rows gather_rows = rows;

} // namespace strata::cpu::interpreter::simd
