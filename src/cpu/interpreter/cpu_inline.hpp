// The templates of Cpu: registers, and memory accesses on their hit path. Included by cpu.hpp alone.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/wide_integer.hpp"
#include "memory/racing_bytes.hpp"

#include <atomic>
#include <type_traits>

namespace strata::cpu::interpreter {

// ---- registers ----

template <class T>
T Cpu::reg(unsigned number) const {
    if constexpr (sizeof(T) == 1) {
        return static_cast<T>(number < 32 ? regs[number] : regs[number - 32] >> 8);
    } else {
        return static_cast<T>(regs[number]);
    }
}

template <class T>
void Cpu::set_reg(unsigned number, T value) {
    if constexpr (sizeof(T) >= 4) {
        regs[number] = value;
    } else if constexpr (sizeof(T) == 2) {
        regs[number] = (regs[number] & ~std::uint64_t{0xFFFF}) | value;
    } else if (number < 32) {
        regs[number] = (regs[number] & ~std::uint64_t{0xFF}) | value;
    } else {
        regs[number - 32] = (regs[number - 32] & ~std::uint64_t{0xFF00}) | (std::uint64_t{value} << 8);
    }
}

// ---- guest memory through host addresses: as unordered as the guest's own accesses, at any alignment ----

// Where races are reported, addresses of atomic accesses have to be aligned.
template <class T>
inline constexpr bool is_one_access = std::is_unsigned_v<T> && !memory::races_are_reported;

template <class T>
[[gnu::always_inline]] inline T load_host(std::uintptr_t address) {
    const auto* from = reinterpret_cast<const void*>(address);
    if constexpr (is_one_access<T>) {
        return memory::load_racing<T>(from);
    } else {
        T value{};
        memory::copy_from_guest(static_cast<void*>(&value), from, memory_size<T>);
        return value;
    }
}

template <class T>
[[gnu::always_inline]] inline void store_host(std::uintptr_t address, const T& value) {
    auto* to = reinterpret_cast<void*>(address);
    if constexpr (is_one_access<T>) {
        memory::store_racing<T>(to, value);
    } else {
        memory::copy_to_guest(to, &value, memory_size<T>);
    }
}

template <class T>
[[nodiscard]] inline bool naturally_aligned(std::uintptr_t address) {
    return (address & (sizeof(T) - 1)) == 0;
}

// The value at a naturally aligned address becomes `desired` if it is `expected`, in one step for all
// processors; else `expected` becomes the value.
template <class T>
inline bool compare_exchange(std::byte* at, T& expected, T desired) {
    if constexpr (sizeof(T) <= 8) {
        return std::atomic_ref<T>(*reinterpret_cast<T*>(at)).compare_exchange_strong(expected, desired);
    } else {
        return compare_exchange_16(at, expected, desired);
    }
}

// ---- addresses ----

inline std::uint64_t Cpu::effective_address(const Insn& insn) const {
    return masked_address(insn, regs[insn.base] + (regs[insn.index] << insn.scale) +
                                    static_cast<std::uint64_t>(std::int64_t{insn.disp}));
}

inline std::uint64_t Cpu::linear(unsigned segment, std::uint64_t offset, unsigned size, Access access) {
    // Outside 64-bit mode offsets have 32 bits at most; inside, the end is the largest number: no sum
    // misleads.
    if (offset + size <= accessible_end_[segment][access == Access::write]) [[likely]] {
        const std::uint64_t address = segment_base(segment) + offset;
        return code64_ ? address : static_cast<std::uint32_t>(address);
    }
    return linear_slow(segment, offset, size, access);
}

// ---- loads and stores ----

template <class T>
inline T Cpu::load_at(std::uint64_t linear, unsigned segment) {
    const TlbEntry entry = data_tlb_->at(linear);
    if (entry.read_tag == tag_of(linear + memory_size<T> - 1)) [[likely]] {
        return load_host<T>(entry.addend + linear);
    }
    T value{};
    read_slow(linear, &value, memory_size<T>, segment, rights());
    return value;
}

template <class T>
inline void Cpu::store_at(std::uint64_t linear, unsigned segment, T value) {
    const TlbEntry entry = data_tlb_->at(linear);
    if (entry.write_tag == tag_of(linear + memory_size<T> - 1)) [[likely]] {
        store_host<T>(entry.addend + linear, value);
        return;
    }
    write_slow(linear, &value, memory_size<T>, segment, rights());
}

inline std::uint64_t Cpu::operand_address(const Insn& insn, unsigned size, Access access) {
    if (insn.flat) [[likely]] {
        return regs[insn.base] + (regs[insn.index] << insn.scale) +
               static_cast<std::uint64_t>(std::int64_t{insn.disp});
    }
    return linear(insn.segment, effective_address(insn), size, access);
}

template <class T>
inline T Cpu::load(const Insn& insn) {
    return load_at<T>(operand_address(insn, memory_size<T>, Access::read), insn.segment);
}

template <class T>
inline void Cpu::store(const Insn& insn, T value) {
    store_at<T>(operand_address(insn, memory_size<T>, Access::write), insn.segment, value);
}

template <class T>
inline T Cpu::load(unsigned segment, std::uint64_t offset) {
    return load_at<T>(linear(segment, offset, memory_size<T>, Access::read), segment);
}

template <class T>
inline void Cpu::store(unsigned segment, std::uint64_t offset, T value) {
    store_at<T>(linear(segment, offset, memory_size<T>, Access::write), segment, value);
}

template <class T>
T Cpu::load_linear(std::uint64_t address, bool implicit_supervisor) {
    if (!implicit_supervisor) {
        return load_at<T>(address, x86::ds);
    }
    const TlbEntry entry = tlb_.data(static_cast<unsigned>(Rights::supervisor)).at(address);
    if (entry.read_tag == tag_of(address + memory_size<T> - 1)) [[likely]] {
        return load_host<T>(entry.addend + address);
    }
    T value{};
    read_slow(address, &value, memory_size<T>, x86::ds, Rights::supervisor);
    return value;
}

template <class T>
void Cpu::store_linear(std::uint64_t address, T value, bool implicit_supervisor) {
    if (!implicit_supervisor) {
        store_at<T>(address, x86::ds, value);
        return;
    }
    write_slow(address, &value, memory_size<T>, x86::ds, Rights::supervisor);
}

// ---- read-modify-write ----

template <class T, class Change>
inline T Cpu::modify_at(std::uint64_t linear, unsigned segment, bool locked, Change change) {
    const TlbEntry entry = data_tlb_->at(linear);
    const bool hit = entry.write_tag == tag_of(linear + sizeof(T) - 1);
    if (!locked) {
        if (hit) [[likely]] {
            const T old = load_host<T>(entry.addend + linear);
            store_host<T>(entry.addend + linear, change(old));
            return old;
        }
        return modify_slow<T>(linear, segment, change);
    }
    std::byte* host =
        hit ? reinterpret_cast<std::byte*>(entry.addend + linear) : locked_host(linear, sizeof(T), segment);
    if (host == nullptr || !naturally_aligned<T>(reinterpret_cast<std::uintptr_t>(host))) [[unlikely]] {
        const BusLock lock(shared_);
        return modify_slow<T>(linear, segment, change);
    }
    T old = load_host<T>(reinterpret_cast<std::uintptr_t>(host));
    while (!compare_exchange(host, old, change(old))) {
    }
    if (!hit) {
        locked_written(linear, sizeof(T));
    }
    return old;
}

template <class T, class Change>
T Cpu::modify_slow(std::uint64_t linear, unsigned segment, Change change) {
    probe(linear, sizeof(T), Access::write, segment, rights());
    T old{};
    read_slow(linear, &old, sizeof(T), segment, rights());
    const T changed = change(old);
    write_slow(linear, &changed, sizeof(T), segment, rights());
    return old;
}

template <class T, class Change>
inline T Cpu::modify(unsigned segment, std::uint64_t offset, bool locked, Change change) {
    return modify_at<T>(linear(segment, offset, sizeof(T), Access::write), segment, locked, change);
}

template <class T, class Change>
inline T Cpu::modify(const Insn& insn, Change change) {
    return modify_at<T>(operand_address(insn, sizeof(T), Access::write), insn.segment, insn.lock, change);
}

// ---- stack ----

inline std::uint64_t Cpu::stack_mask() const {
    return code64_ ? ~std::uint64_t{0} : system.segments[x86::ss].big() ? 0xFFFF'FFFF : 0xFFFF;
}

inline void Cpu::set_stack_pointer(std::uint64_t value) {
    const std::uint64_t mask = stack_mask();
    regs[x86::rsp] = mask == 0xFFFF ? (regs[x86::rsp] & ~mask) | (value & mask) : value & mask;
}

template <class T>
inline void Cpu::push_as(T value) {
    const std::uint64_t top = (regs[x86::rsp] - sizeof(T)) & stack_mask();
    store<T>(x86::ss, top, value);
    set_stack_pointer(top);
}

template <class T>
inline T Cpu::pop_as() {
    const std::uint64_t top = regs[x86::rsp] & stack_mask();
    const T value = load<T>(x86::ss, top);
    set_stack_pointer(top + sizeof(T));
    return value;
}

// ---- near branches ----

inline void Cpu::near_branch(std::uint64_t target, unsigned operand_bytes) {
    if (operand_bytes == 8) [[likely]] {
        if (!canonical(target)) [[unlikely]] {
            raise_gp();
        }
    } else {
        target = operand_bytes == 2 ? static_cast<std::uint16_t>(target) : static_cast<std::uint32_t>(target);
        if (!code64_ && target > system.segments[x86::cs].limit) [[unlikely]] {
            raise_gp();
        }
    }
    rip() = target;
}

} // namespace strata::cpu::interpreter
