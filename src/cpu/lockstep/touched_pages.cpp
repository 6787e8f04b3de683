#include "cpu/lockstep/touched_pages.hpp"

#include <atomic>
#include <sys/mman.h>

namespace strata::cpu::lockstep {

using memory::GuestPhysical;
using memory::page_size;

namespace {

std::atomic<TouchedPages*> active = nullptr;

} // namespace

TouchedPages::TouchedPages(memory::GuestMemory& memory)
    : memory_(memory), touched_(memory.size() / page_size) {
    active = this;
    struct sigaction action = {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGSEGV, &action, &previous_);
    protect_all(PROT_NONE);
}

TouchedPages::~TouchedPages() {
    protect_all(PROT_READ | PROT_WRITE);
    ::sigaction(SIGSEGV, &previous_, nullptr);
    active = nullptr;
}

void TouchedPages::protect_all(int protection) const {
    for (const auto& slot : memory_.slots()) {
        ::mprotect(slot.host, slot.size, protection);
    }
}

void TouchedPages::handle(int signal, siginfo_t* info, void* /*context*/) {
    TouchedPages* const self = active;
    if (self == nullptr || !self->give(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
        ::signal(signal, SIG_DFL); // another's: it comes again, and ends the process
    }
}

bool TouchedPages::give(std::uintptr_t host) {
    for (const auto& slot : memory_.slots()) {
        const std::uint64_t offset = host - reinterpret_cast<std::uintptr_t>(slot.host);
        if (offset < slot.size) {
            std::byte* const page = slot.host + offset / page_size * page_size;
            touched_[memory_.page_index(slot.base + offset)] = true;
            return ::mprotect(page, page_size, PROT_READ | PROT_WRITE) == 0;
        }
    }
    return false;
}

std::vector<GuestPhysical> TouchedPages::pages() const {
    std::vector<GuestPhysical> pages;
    for (const auto& slot : memory_.slots()) {
        for (GuestPhysical page = slot.base; page < slot.base + slot.size; page += page_size) {
            if (touched_[memory_.page_index(page)]) {
                pages.push_back(page);
            }
        }
    }
    return pages;
}

} // namespace strata::cpu::lockstep
