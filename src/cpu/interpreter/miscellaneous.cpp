// NOP, PAUSE, prefetches, fences, cache line flushes, RDRAND, RDSEED, BOUND, UD0 to UD2. SDM volume 2.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

#include <atomic>
#include <sys/random.h>
#include <thread>
#include <type_traits>

namespace strata::cpu::interpreter {

namespace {

void nop(Cpu&, const Insn&) {}

// A processor that spins lets the host run the one it waits for.
void pause(Cpu& cpu, const Insn&) {
    if (cpu.config().count > 1) {
        std::this_thread::yield();
    }
}

void fence(Cpu&, const Insn&) { std::atomic_thread_fence(std::memory_order_seq_cst); }

// There is no cache to flush, but the line must be readable.
void flush_line(Cpu& cpu, const Insn& insn) { static_cast<void>(cpu.load<std::uint8_t>(insn)); }

// CF says whether a number was there.
template <class T>
void random(Cpu& cpu, const Insn& insn) {
    T value{};
    const bool filled = getrandom(&value, sizeof value, 0) == static_cast<ssize_t>(sizeof value);
    cpu.set_reg<T>(insn.rm, filled ? value : T{0});
    cpu.flags.set_arithmetic(filled ? x86::flag::cf : 0);
}

Handler select_random(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return random<T>; });
}

// The index against a pair of signed bounds in memory.
template <class T>
void bound(Cpu& cpu, const Insn& insn) {
    using Signed = std::make_signed_t<T>;
    const std::uint64_t offset = cpu.effective_address(insn);
    const auto lower = static_cast<Signed>(cpu.load<T>(insn.segment, offset));
    const auto upper =
        static_cast<Signed>(cpu.load<T>(insn.segment, cpu.masked_address(insn, offset + sizeof(T))));
    const auto index = static_cast<Signed>(cpu.reg<T>(insn.reg));
    if (index < lower || index > upper) {
        cpu.raise(x86::Vector::bound_range);
    }
}

Handler select_bound(const Decoded&, Insn& insn) {
    return insn.operand_size == 1 ? bound<std::uint16_t> : bound<std::uint32_t>;
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_NOP, always<nop>},
    {ZYDIS_MNEMONIC_PAUSE, always<pause>},
    {ZYDIS_MNEMONIC_PREFETCH, always<nop>},
    {ZYDIS_MNEMONIC_PREFETCHW, always<nop>},
    {ZYDIS_MNEMONIC_PREFETCHWT1, always<nop>},
    {ZYDIS_MNEMONIC_PREFETCHNTA, always<nop>},
    {ZYDIS_MNEMONIC_PREFETCHT0, always<nop>},
    {ZYDIS_MNEMONIC_PREFETCHT1, always<nop>},
    {ZYDIS_MNEMONIC_PREFETCHT2, always<nop>},
    {ZYDIS_MNEMONIC_LFENCE, always<fence>},
    {ZYDIS_MNEMONIC_SFENCE, always<fence>},
    {ZYDIS_MNEMONIC_MFENCE, always<fence>},
    {ZYDIS_MNEMONIC_CLFLUSH, always<flush_line>},
    {ZYDIS_MNEMONIC_CLFLUSHOPT, always<flush_line>},
    {ZYDIS_MNEMONIC_RDRAND, select_random},
    {ZYDIS_MNEMONIC_RDSEED, select_random},
    {ZYDIS_MNEMONIC_BOUND, select_bound},
    {ZYDIS_MNEMONIC_UD0, always<undefined>},
    {ZYDIS_MNEMONIC_UD1, always<undefined>},
    {ZYDIS_MNEMONIC_UD2, always<undefined>},
};

} // namespace

Rows miscellaneous_rows() { return rows; }

} // namespace strata::cpu::interpreter
