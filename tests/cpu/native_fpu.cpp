#include "native_fpu.hpp"

#include "../oracle/fp_image.hpp"
#include "cpu/x86/sse_environment.hpp"

#include <csetjmp>
#include <csignal>
#include <cstring>
#include <sys/mman.h>

namespace strata::cpu::testing {
namespace {

constexpr std::size_t code_size = 4096;

// FNSTENV's image, which has the pointers also where FXSAVE leaves them out (as AMD's does unless ES is set).
struct Environment {
    std::uint32_t fcw, fsw, tags, fip, fcs_and_fop, fdp, fds;
};

struct Frame {
    oracle::XsaveArea before, after; // of which FXSAVE64 knows the first 512 bytes
    Environment environment;
    std::uint64_t rax, rflags;
};

sigjmp_buf escape;

void on_signal(int signal) { siglongjmp(escape, signal); }

void put(std::uint8_t*& to, std::initializer_list<int> bytes) {
    for (const int byte : bytes) {
        *to++ = static_cast<std::uint8_t>(byte);
    }
}

// void code(Frame* frame, unused, void* memory): the frame moves to R8, and RDI and RDX point to the memory.
void emit(std::uint8_t* to, std::span<const std::uint8_t> instruction, std::size_t& start) {
    const std::uint8_t* const begin = to;
    constexpr int after = offsetof(Frame, after), environment = offsetof(Frame, environment),
                  rax = offsetof(Frame, rax), rflags = offsetof(Frame, rflags);
    const auto low = [](int offset) { return offset & 0xFF; };
    const auto high = [](int offset) { return offset >> 8; };
    put(to, {0x49, 0x89, 0xF8, 0x48, 0x89, 0xD7});                      // mov r8, rdi; mov rdi, rdx
    put(to, {0x49, 0x8B, 0x80, low(rax), high(rax), 0, 0});             // mov rax, [r8 + rax]
    put(to, {0x41, 0xFF, 0xB0, low(rflags), high(rflags), 0, 0, 0x9D}); // push [r8 + rflags]; popfq
    put(to, {0x49, 0x0F, 0xAE, 0x08});                                  // fxrstor64 [r8]
    start = static_cast<std::size_t>(to - begin);
    std::memcpy(to, instruction.data(), instruction.size());
    to += instruction.size();
    put(to, {0x49, 0x0F, 0xAE, 0x80, low(after), high(after), 0, 0});       // fxsave64 [r8 + after]
    put(to, {0x49, 0x89, 0x80, low(rax), high(rax), 0, 0});                 // mov [r8 + rax], rax
    put(to, {0x9C, 0x41, 0x8F, 0x80, low(rflags), high(rflags), 0, 0});     // pushfq; pop [r8 + rflags]
    put(to, {0x41, 0xD9, 0xB0, low(environment), high(environment), 0, 0}); // fnstenv [r8 + environment]
    put(to, {0xDB, 0xE3, 0xC3});                                            // fninit; ret
}

} // namespace

NativeFpu::NativeFpu()
    : code_(static_cast<std::uint8_t*>(
          mmap(nullptr, code_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    struct sigaction action{};
    action.sa_handler = on_signal;
    action.sa_flags = SA_NODEFER;
    for (const int signal : {SIGFPE, SIGILL, SIGSEGV}) {
        sigaction(signal, &action, nullptr);
    }
}

NativeFpu::~NativeFpu() {
    munmap(code_, code_size);
    for (const int signal : {SIGFPE, SIGILL, SIGSEGV}) {
        std::signal(signal, SIG_DFL);
    }
}

std::optional<int> NativeFpu::run(std::span<const std::uint8_t> instruction, FpuCase& state) {
    static Frame frame;
    static std::size_t start;
    frame.before = frame.after = oracle::to_xsave_area(state.fp);
    frame.rax = state.rax;
    frame.rflags = state.rflags;
    emit(code_, instruction, start);
    if (const int signal = sigsetjmp(escape, 1)) {
        asm volatile("fninit");
        return signal;
    }
    {
        const x86::HostEnvironment restored_afterwards;
        reinterpret_cast<void (*)(Frame*, void*, void*)>(code_)(&frame, nullptr, state.memory.data());
    }
    state.fp = oracle::to_fp_state(frame.after);
    state.rax = frame.rax;
    state.rflags = frame.rflags;
    const auto address = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(code_) + start);
    const auto memory = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(state.memory.data()));
    const Environment& environment = frame.environment;
    state.fp.fip = environment.fip == address ? own_instruction : environment.fip;
    state.fp.fdp = environment.fdp == memory ? own_memory : environment.fdp;
    state.fp.fop = static_cast<std::uint16_t>((environment.fcs_and_fop >> 16) & 0x7FF);
    return std::nullopt;
}

} // namespace strata::cpu::testing
