#include "native_vector.hpp"

#include <csignal>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <sys/mman.h>
#include <ucontext.h>

// Loads *state, calls code, stores *state.
extern "C" void strata_test_run_native(strata::cpu::testing::VectorState* state, const void* code);

namespace strata::cpu::testing {

static_assert(offsetof(VectorState, gpr) == 512 && offsetof(VectorState, rflags) == 640 &&
              offsetof(VectorState, mxcsr) == 648);

asm(R"(
    .text
    .global strata_test_run_native
    .type strata_test_run_native, @function
strata_test_run_native:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    sub $24, %rsp
    mov %rsi, (%rsp)            # the code
    mov %rdi, 8(%rsp)           # the state
    stmxcsr 16(%rsp)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovups 32*\n(%rdi), %ymm\n
    .endr
    ldmxcsr 648(%rdi)
    push 640(%rdi)
    popfq
    mov 512(%rdi), %rax
    mov 512+8(%rdi), %rcx
    mov 512+16(%rdi), %rdx
    mov 512+24(%rdi), %rbx
    mov 512+40(%rdi), %rbp
    mov 512+48(%rdi), %rsi
    mov 512+64(%rdi), %r8
    mov 512+72(%rdi), %r9
    mov 512+80(%rdi), %r10
    mov 512+88(%rdi), %r11
    mov 512+96(%rdi), %r12
    mov 512+104(%rdi), %r13
    mov 512+112(%rdi), %r14
    mov 512+120(%rdi), %r15
    mov 512+56(%rdi), %rdi
    call *(%rsp)
    push %rdi
    pushfq
    mov 24(%rsp), %rdi
    pop 640(%rdi)
    pop 512+56(%rdi)
    mov %rax, 512(%rdi)
    mov %rcx, 512+8(%rdi)
    mov %rdx, 512+16(%rdi)
    mov %rbx, 512+24(%rdi)
    mov %rbp, 512+40(%rdi)
    mov %rsi, 512+48(%rdi)
    mov %r8, 512+64(%rdi)
    mov %r9, 512+72(%rdi)
    mov %r10, 512+80(%rdi)
    mov %r11, 512+88(%rdi)
    mov %r12, 512+96(%rdi)
    mov %r13, 512+104(%rdi)
    mov %r14, 512+112(%rdi)
    mov %r15, 512+120(%rdi)
    stmxcsr 648(%rdi)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovups %ymm\n, 32*\n(%rdi)
    .endr
    vzeroupper
    ldmxcsr 16(%rsp)
    cld
    add $24, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size strata_test_run_native, . - strata_test_run_native
)");

namespace {

constexpr std::size_t page = 4096;
constexpr std::uint8_t ret = 0xC3;

// Where execution goes on after SIGFPE, and the MXCSR that the exception left.
volatile std::uintptr_t resume_at;
volatile std::uint32_t trapped_mxcsr;
volatile bool trapped;

void on_fpe(int, siginfo_t*, void* context) {
    auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
    trapped = true;
    trapped_mxcsr = machine.fpregs->mxcsr;
    machine.gregs[REG_RIP] = static_cast<greg_t>(resume_at);
}

} // namespace

NativeVector::NativeVector()
    : code_(static_cast<std::byte*>(
          mmap(nullptr, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    if (code_ == MAP_FAILED) {
        throw std::runtime_error("mmap of executable memory failed");
    }
    struct sigaction action = {};
    action.sa_sigaction = on_fpe;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &action, nullptr);
}

NativeVector::~NativeVector() {
    signal(SIGFPE, SIG_DFL);
    munmap(code_, page);
}

bool NativeVector::available() { return __builtin_cpu_supports("avx"); }

bool NativeVector::run(std::span<const std::uint8_t> instruction, VectorState& state) {
    std::memcpy(code_, instruction.data(), instruction.size());
    code_[instruction.size()] = std::byte{ret};
    resume_at = reinterpret_cast<std::uintptr_t>(code_ + instruction.size());
    trapped = false;
    strata_test_run_native(&state, code_);
    if (trapped) {
        state.mxcsr = trapped_mxcsr;
    }
    return !trapped;
}

} // namespace strata::cpu::testing
