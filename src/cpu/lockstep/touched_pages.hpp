// Finds out which pages of guest memory are accessed, by whatever code: the host may access none, and each
// trap gives it one more page. mprotect(2), sigaction(2).
#pragma once

#include "memory/guest_memory.hpp"

#include <csignal>
#include <cstdint>
#include <vector>

namespace strata::cpu::lockstep {

// While it lives, `memory` is accessed by the thread that made it alone. One at a time.
class TouchedPages {
public:
    explicit TouchedPages(memory::GuestMemory& memory);
    ~TouchedPages();
    TouchedPages(const TouchedPages&) = delete;
    TouchedPages& operator=(const TouchedPages&) = delete;

    // In order.
    [[nodiscard]] std::vector<memory::GuestPhysical> pages() const;

private:
    static void handle(int signal, siginfo_t* info, void* context);
    [[nodiscard]] bool give(std::uintptr_t host);
    void protect_all(int protection) const;

    memory::GuestMemory& memory_;
    std::vector<bool> touched_; // by GuestMemory::page_index
    struct sigaction previous_{};
};

} // namespace strata::cpu::lockstep
