#include "cpu/lockstep/memories.hpp"

#include "cpu/lockstep/comparison.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <span>

namespace strata::cpu::lockstep {

using memory::GuestPhysical;
using memory::page_size;

Result<std::unique_ptr<memory::GuestMemory>> new_copy(const memory::GuestMemory& memory) {
    const auto slots = memory.slots();
    return slots.size() == 1 ? memory::GuestMemory::create(memory.size())
                             : memory::GuestMemory::create(memory.size(), slots.front().size);
}

void Memories::copy() {
    for (memory::GuestMemory* memory : {&leader_, &follower_}) {
        for (const GuestPhysical page : memory->take_dirty()) {
            static_cast<void>(follower_.write(page, leader_.host(page, page_size), page_size));
        }
    }
    forget();
}

template <class Act>
void Memories::for_each_written(Act act) const {
    for (const memory::GuestMemory* memory : {&leader_, &follower_}) {
        for (const GuestPhysical page : memory->dirty()) {
            act(page);
        }
    }
}

void Memories::keep() {
    for_each_written([this](GuestPhysical page) {
        const std::byte* now = follower_.host(page, page_size);
        std::byte* kept = before_.host(page, page_size);
        if (std::memcmp(now, kept, page_size) != 0) {
            std::memcpy(kept, now, page_size);
        }
    });
}

void Memories::restore() {
    for_each_written([this](GuestPhysical page) {
        static_cast<void>(follower_.write(page, before_.host(page, page_size), page_size));
    });
}

std::map<GuestPhysical, Page> Memories::before(const std::vector<GuestPhysical>& touched) const {
    std::map<GuestPhysical, Page> pages;
    const auto add = [&](GuestPhysical page) {
        std::memcpy(pages[page].data(), before_.host(page, page_size), page_size);
    };
    std::ranges::for_each(touched, add);
    for_each_written([&](GuestPhysical page) {
        if (std::memcmp(leader_.host(page, page_size), before_.host(page, page_size), page_size) != 0) {
            add(page);
        }
    });
    return pages;
}

void Memories::forget() {
    for (const GuestPhysical page : devices_) { // whatever became of it
        static_cast<void>(follower_.write(page, leader_.host(page, page_size), page_size));
    }
    devices_.clear();
    keep();
    static_cast<void>(leader_.take_dirty());
    static_cast<void>(follower_.take_dirty());
}

std::vector<Memories::Word> Memories::differing() const {
    std::vector<Word> words;
    for (const memory::GuestMemory* memory : {&leader_, &follower_}) {
        for (const GuestPhysical page : memory->dirty()) {
            const bool known = memory == &follower_ && leader_.is_dirty(page);
            const std::byte* a = leader_.host(page, page_size);
            const std::byte* b = follower_.host(page, page_size);
            if (known || std::memcmp(a, b, page_size) == 0 || devices_.contains(page)) {
                continue;
            }
            for (std::uint64_t at = 0; at < page_size; at += sizeof(std::uint32_t)) {
                Word word{page + at, 0, 0};
                std::memcpy(&word.leader, a + at, sizeof word.leader);
                std::memcpy(&word.follower, b + at, sizeof word.follower);
                if (word.leader != word.follower) {
                    words.push_back(word);
                }
            }
        }
    }
    return words;
}

bool Memories::fit() {
    const std::vector<Word> words = differing();
    if (!std::ranges::all_of(words, [](const Word& w) { return remains_of_flags(w.leader, w.follower); })) {
        return false;
    }
    for (const Word& word : words) {
        static_cast<void>(follower_.write(word.address, &word.leader, sizeof word.leader));
    }
    return true;
}

std::string Memories::difference() const {
    constexpr std::size_t most = 16;
    std::string text;
    const std::vector<Word> words = differing();
    for (const Word& word : std::span(words).first(std::min(most, words.size()))) {
        text += fmt::format("  memory at {:#x}: {:#010x}          {:#010x}\n", word.address, word.leader,
                            word.follower);
    }
    return text;
}

void Memories::apply(const DeviceWrite& write) {
    static_cast<void>(follower_.write(write.address, write.bytes.data(), write.bytes.size()));
    for (GuestPhysical page = write.address & ~(page_size - 1); page < write.address + write.bytes.size();
         page += page_size) {
        devices_.insert(page);
    }
}

} // namespace strata::cpu::lockstep
