// The kernel's lists: a count and the entries behind it. linux/kvm.h declares them with flexible array
// members, which C++ lays out differently; so the layout and the requests that take lists are written here.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <linux/kvm.h>
#include <span>
#include <vector>

namespace strata::cpu::kvm {

struct ListHeader {
    std::uint32_t count, padding;
};

inline constexpr unsigned long get_supported_cpuid = _IOWR(KVMIO, 0x05, ListHeader),
                               get_msrs = _IOWR(KVMIO, 0x88, ListHeader),
                               set_msrs = _IOW(KVMIO, 0x89, ListHeader),
                               set_cpuid2 = _IOW(KVMIO, 0x90, ListHeader),
                               set_gsi_routing = _IOW(KVMIO, 0x6A, ListHeader);

template <class Entry>
class List {
public:
    // Of `count` entries, all zero.
    explicit List(std::size_t count)
        : words_((sizeof(ListHeader) + count * sizeof(Entry) + sizeof(std::uint64_t) - 1) /
                 sizeof(std::uint64_t)) {
        const ListHeader header{static_cast<std::uint32_t>(count), 0};
        std::memcpy(words_.data(), &header, sizeof header);
    }

    explicit List(std::span<const Entry> entries) : List(entries.size()) {
        copy(words_.data() + 1, entries.data(), entries.size_bytes());
    }

    // What the request takes.
    [[nodiscard]] std::uintptr_t address() { return std::bit_cast<std::uintptr_t>(words_.data()); }

    // As many as the count says now.
    [[nodiscard]] std::vector<Entry> entries() const {
        ListHeader header;
        std::memcpy(&header, words_.data(), sizeof header);
        const std::size_t room = (words_.size() * sizeof(std::uint64_t) - sizeof header) / sizeof(Entry);
        std::vector<Entry> entries(header.count < room ? header.count : room);
        copy(entries.data(), words_.data() + 1, entries.size() * sizeof(Entry));
        return entries;
    }

private:
    static_assert(sizeof(ListHeader) == sizeof(std::uint64_t));

    // The data() of nothing may be null, which memcpy does not take.
    static void copy(void* to, const void* from, std::size_t size) {
        if (size > 0) {
            std::memcpy(to, from, size);
        }
    }

    std::vector<std::uint64_t> words_;
};

} // namespace strata::cpu::kvm
