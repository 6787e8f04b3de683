// Guest memory as the host's bytes, which processors and devices access at the same time, as they do in any
// machine. What the guest leaves unordered is its own affair: to the host these are relaxed atomic accesses,
// a MOV each where up to eight bytes are as aligned as they are long, and not torn then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace strata::memory {

// Whether ThreadSanitizer looks on. It would take copies by memcpy() for races of the monitor's.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool races_are_reported = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool races_are_reported = true;
#else
inline constexpr bool races_are_reported = false;
#endif
#else
inline constexpr bool races_are_reported = false;
#endif

// T is an unsigned integer. At any alignment, but where races are reported.
template <class T>
[[gnu::always_inline]] inline T load_racing(const void* from) {
    return __atomic_load_n(static_cast<const T*>(from), __ATOMIC_RELAXED);
}

template <class T>
[[gnu::always_inline]] inline void store_racing(void* to, T value) {
    __atomic_store_n(static_cast<T*>(to), value, __ATOMIC_RELAXED);
}

// In pieces, each as large as the alignment of `guest`'s address allows: move(done, T{}).
template <class Move>
void in_racing_pieces(const void* guest, std::size_t size, Move move) {
    for (std::size_t done = 0; done < size;) {
        const std::size_t address = reinterpret_cast<std::uintptr_t>(guest) + done, left = size - done;
        if (address % 8 == 0 && left >= 8) {
            move(done, std::uint64_t{});
            done += 8;
        } else if (address % 4 == 0 && left >= 4) {
            move(done, std::uint32_t{});
            done += 4;
        } else if (address % 2 == 0 && left >= 2) {
            move(done, std::uint16_t{});
            done += 2;
        } else {
            move(done, std::uint8_t{});
            ++done;
        }
    }
}

// As memcpy(): one side is the guest's.
[[gnu::always_inline]] inline void copy_from_guest(void* to, const void* guest, std::size_t size) {
    if constexpr (!races_are_reported) {
        std::memcpy(to, guest, size);
        return;
    }
    in_racing_pieces(guest, size, [&]<class T>(std::size_t done, T) {
        const T piece = load_racing<T>(static_cast<const std::byte*>(guest) + done);
        std::memcpy(static_cast<std::byte*>(to) + done, &piece, sizeof piece);
    });
}

[[gnu::always_inline]] inline void copy_to_guest(void* guest, const void* from, std::size_t size) {
    if constexpr (!races_are_reported) {
        std::memcpy(guest, from, size);
        return;
    }
    in_racing_pieces(guest, size, [&]<class T>(std::size_t done, T) {
        T piece{};
        std::memcpy(&piece, static_cast<const std::byte*>(from) + done, sizeof piece);
        store_racing<T>(static_cast<std::byte*>(guest) + done, piece);
    });
}

// As memmove() between two places of the guest's; of two that overlap `to` is the lower one.
[[gnu::always_inline]] inline void move_within_guest(void* to, const void* from, std::size_t size) {
    if constexpr (!races_are_reported) {
        std::memmove(to, from, size);
        return;
    }
    for (std::size_t done = 0; done < size; ++done) {
        store_racing(static_cast<std::uint8_t*>(to) + done,
                     load_racing<std::uint8_t>(static_cast<const std::uint8_t*>(from) + done));
    }
}

// As memset().
[[gnu::always_inline]] inline void fill_guest(void* guest, std::uint8_t value, std::size_t size) {
    if constexpr (!races_are_reported) {
        std::memset(guest, value, size);
        return;
    }
    for (std::size_t done = 0; done < size; ++done) {
        store_racing(static_cast<std::uint8_t*>(guest) + done, value);
    }
}

// As memcmp() == 0.
[[gnu::always_inline]] inline bool guest_holds(const void* guest, std::span<const std::uint8_t> bytes) {
    if constexpr (!races_are_reported) {
        return std::memcmp(guest, bytes.data(), bytes.size()) == 0;
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (load_racing<std::uint8_t>(static_cast<const std::uint8_t*>(guest) + i) != bytes[i]) {
            return false;
        }
    }
    return true;
}

} // namespace strata::memory
