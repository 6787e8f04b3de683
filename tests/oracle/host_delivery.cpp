// Sources: SDM volume 2 and APM volume 3, INT1 (ICEBP), SYSEXIT; SDM volume 3 section 6.5 (traps).
#include "host_delivery.hpp"

#include "isa.hpp"

#include <array>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <span>
#include <sys/mman.h>
#include <ucontext.h>

namespace strata::oracle {

namespace {

struct Arrival {
    int signal = 0;
    std::uintptr_t rip = 0;
};

sigjmp_buf way_back;
Arrival arrival;

void arrived(int signal, siginfo_t*, void* context) {
    const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
    arrival = {signal, static_cast<std::uintptr_t>(registers[REG_RIP])};
    siglongjmp(way_back, 1);
}

// How `instruction`, which ends in a signal, arrives; `rip` counts from its first byte.
Arrival execute(std::span<const std::uint8_t> instruction) {
    constexpr std::size_t page = 4096;
    void* const code = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) {
        return {};
    }
    std::memcpy(code, instruction.data(), instruction.size());
    static_cast<std::uint8_t*>(code)[instruction.size()] = 0xC3; // RET
    mprotect(code, page, PROT_READ | PROT_EXEC);
    constexpr std::array signals{SIGTRAP, SIGILL, SIGSEGV};
    std::array<struct sigaction, signals.size()> before{};
    struct sigaction action{};

    action.sa_sigaction = arrived;
    action.sa_flags = SA_SIGINFO;
    for (std::size_t i = 0; i < signals.size(); ++i) {
        sigaction(signals[i], &action, &before[i]);
    }
    arrival = {};
    if (sigsetjmp(way_back, 1) == 0) {
        void (*run)() = nullptr;
        std::memcpy(&run, &code, sizeof run);
        run();
    }
    for (std::size_t i = 0; i < signals.size(); ++i) {
        sigaction(signals[i], &before[i], nullptr);
    }
    Arrival result = arrival;
    result.rip -= reinterpret_cast<std::uintptr_t>(code);
    munmap(code, page);
    return result;
}

// INT1 is a trap: RIP is behind it.
bool int1_is_a_trap() {
    constexpr std::array<std::uint8_t, 1> int1{0xF1};
    const Arrival found = execute(int1);
    return found.signal == SIGTRAP && found.rip == int1.size();
}

// 64-bit code has no SYSEXIT on AMD's processors; on Intel's it wants privilege level 0.
bool sysexit_faults_as_its_vendor_says() {
    constexpr std::array<std::uint8_t, 2> sysexit{0x0F, 0x35};
    return execute(sysexit).signal == (host_vendor() == "AuthenticAMD" ? SIGILL : SIGSEGV);
}

} // namespace

std::string_view not_delivered_by_processor(ZydisMnemonic mnemonic) {
    static const bool int1 = int1_is_a_trap(), sysexit = sysexit_faults_as_its_vendor_says();
    const bool delivered =
        mnemonic == ZYDIS_MNEMONIC_INT1 ? int1 : mnemonic != ZYDIS_MNEMONIC_SYSEXIT || sysexit;
    return delivered ? std::string_view{} : "the host's hypervisor answers it in its own way";
}

} // namespace strata::oracle
