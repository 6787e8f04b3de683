// What the virtual processors of one machine share: memory, the clock, the bus lock, and the knowledge of
// which bytes of memory are cached as code.
#pragma once

#include "base/clock.hpp"
#include "base/zeroed_array.hpp"
#include "cpu/engine.hpp"
#include "memory/guest_memory.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace strata::cpu::interpreter {

// Code is tracked in granules, so that data beside code costs little: one bit for 64 bytes, one word a page.
inline constexpr unsigned granule_shift = 6;

// The granules of [address, + size), which lies in one page (size > 0).
[[nodiscard]] constexpr std::uint64_t granule_mask(std::uint64_t address, std::uint64_t size) {
    const auto first = static_cast<unsigned>(address % memory::page_size >> granule_shift);
    const auto last = static_cast<unsigned>((address + size - 1) % memory::page_size >> granule_shift);
    return (~std::uint64_t{0} >> (63 - (last - first))) << first;
}

// What one processor must know of what happened to code.
struct CodeNotice {
    static constexpr memory::GuestPhysical everywhere =
        ~memory::GuestPhysical{0}; // more was written than is listed

    memory::GuestPhysical page;
    std::uint64_t
        written; // granules whose decoded form is void; none: the page became code, stop writing directly
};

// One processor's notices, and whether it is at work on guest memory: if not, it reads them before it starts
// again.
class CodeMailbox {
public:
    explicit CodeMailbox(Signals& signals) : signals_(signals) {}

    // The owner's thread. After enter() it takes what waits before it does anything else.
    void enter() { at_work_.store(true); }

    void leave() { at_work_.store(false); }

    [[nodiscard]] bool empty() const { return taken_.load() == posted_.load(); }

    // Any thread.
    void post(const CodeNotice& notice);

    // Whether the owner cannot write any more to a page as if it did not know that it became code, for all
    // pages of which that was posted.
    [[nodiscard]] bool settled() const { return taken_.load() >= announced_.load() || !at_work_.load(); }

    // The owner's thread: carries out `act` on each notice.
    template <class Act>
    void take(Act act) {
        const std::lock_guard lock(mutex_);
        for (const CodeNotice& notice : notices_) {
            act(notice);
        }
        notices_.clear();
        taken_.store(posted_.load());
    }

private:
    Signals& signals_;
    std::mutex mutex_; // guards notices_; the counts change under it
    std::vector<CodeNotice> notices_;
    std::atomic<std::uint64_t> posted_{0}, taken_{0};
    std::atomic<std::uint64_t> announced_{0}; // posted_ after the last notice that a page became code
    std::atomic<bool> at_work_{false};
};

class Shared final : public memory::CodeObserver {
public:
    Shared(memory::GuestMemory& memory, const Clock& clock);
    ~Shared() override;
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

    [[nodiscard]] memory::GuestMemory& memory() { return memory_; }

    [[nodiscard]] const Clock& clock() const { return clock_; }

    [[nodiscard]] std::mutex& bus_lock() { return bus_lock_; }

    // Processors come and go while none runs.
    void attach(CodeMailbox& mailbox) { mailboxes_.push_back(&mailbox); }

    void detach(CodeMailbox& mailbox) { std::erase(mailboxes_, &mailbox); }

    [[nodiscard]] bool has_code(memory::GuestPhysical ram) const {
        return code_[memory_.page_index(ram)].load(std::memory_order_acquire) != 0;
    }

    // From when others_settled() on, writes to these granules void what is decoded from them. The caller
    // waits for that, serving its own mailbox at least once. Returns whether the page had no code until now:
    // then the other processors have been told to stop writing to it directly, and the caller does so itself.
    bool mark_code(memory::GuestPhysical page, std::uint64_t granules, const CodeMailbox& self);
    [[nodiscard]] bool others_settled(const CodeMailbox& self) const;

    // After a write to RAM, by any thread.
    void code_written(memory::GuestPhysical address, std::uint64_t size) override;

private:
    memory::GuestMemory& memory_;
    const Clock& clock_;
    std::mutex bus_lock_;
    std::vector<CodeMailbox*> mailboxes_;
    ZeroedArray<std::atomic<std::uint64_t>> code_; // granules by GuestMemory::page_index
    std::mutex marking_;                           // a page becomes code and is announced in one
};

} // namespace strata::cpu::interpreter
