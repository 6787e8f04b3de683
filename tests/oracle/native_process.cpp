// The program that executes cases on the host's processor. It lives in signal handlers: each case is entered
// by returning from a handler to a context made of the case's state, and ends with the next signal, whose
// context is the outcome. Between batches it waits for the driver. A seccomp filter refuses every other
// system call.
//
// While cases run, FS and GS belong to them, so nothing here may touch thread-local storage: system calls are
// made directly, and the file is built without stack protector and sanitizers.
//
// Usage: strata_oracle_native 64|32|16, by a driver that has set up the descriptors of test_case.hpp. Exits
// with status 2 if the host does not offer code segments of that width.

#include "test_case.hpp"

#include <algorithm>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace strata::oracle {
namespace {

Mailbox* mailbox = nullptr;
std::uint8_t* arena_alias = nullptr; // the arena again, all of it writable
bool code64 = true;                  // the cases' mode
bool running = false;
std::uint32_t current = 0;
alignas(64) std::array<std::uint8_t, 1 << 16> handler_stack;

// What the kernel's signal frame holds of XsaveArea, in two stretches: up to XMM15, and from the XSAVE header
// on. Between them is the kernel's own description of the frame.
constexpr std::size_t legacy_size = offsetof(XsaveArea, available);
constexpr std::size_t header_offset = offsetof(XsaveArea, xstate_bv);
constexpr std::size_t avx_offset = offsetof(XsaveArea, ymm_high);

constexpr std::array<int, 16> greg_of{REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

long system_call(long number, long a = 0, long b = 0, long c = 0) {
    long result;
    register long fourth asm("r10") = 0;
    register long fifth asm("r8") = 0;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                 : "rcx", "r11", "memory");
    return result;
}

void copy(void* to, const void* from, std::size_t size) {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

void fill(void* to, std::uint8_t value, std::size_t size) {
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
}

// Whether the signal frame has the AVX state: the kernel says so with a magic number.
bool has_extended_state(const std::uint8_t* frame) {
    constexpr std::size_t sw_reserved = 464;
    constexpr std::uint32_t magic = 0x4650'5853;
    std::uint32_t found;
    copy(&found, frame + sw_reserved, sizeof found);
    return found == magic;
}

void read_selectors(Selectors& to) {
    asm volatile("mov %%es, %0" : "=m"(to.es));
    asm volatile("mov %%ds, %0" : "=m"(to.ds));
    asm volatile("mov %%fs, %0" : "=m"(to.fs));
    asm volatile("mov %%gs, %0" : "=m"(to.gs));
}

void load_segments(const TestCase& in) {
    const Selectors& from = in.registers.selectors;
    asm volatile("mov %0, %%es" : : "m"(from.es));
    asm volatile("mov %0, %%ds" : : "m"(from.ds));
    asm volatile("mov %0, %%fs" : : "m"(from.fs));
    asm volatile("mov %0, %%gs" : : "m"(from.gs));
    if (code64) { // where the descriptors do not give the bases
        system_call(SYS_arch_prctl, ARCH_SET_FS, static_cast<long>(in.fs_base));
        system_call(SYS_arch_prctl, ARCH_SET_GS, static_cast<long>(in.gs_base));
    }
}

constexpr unsigned ss_shift = 48; // REG_CSGSFS holds CS in its low and SS in its high 16 bits

void capture(int signal, const ucontext_t& context, Outcome& out) {
    const auto& gregs = context.uc_mcontext.gregs;
    out.ending = signal == SIGSYS ? Ending::syscall : Ending::exception;
    out.vector = static_cast<std::uint8_t>(gregs[REG_TRAPNO]);
    out.error_code = static_cast<std::uint32_t>(gregs[REG_ERR]);
    out.cr2 = static_cast<std::uint64_t>(gregs[REG_CR2]);
    for (std::size_t i = 0; i < greg_of.size(); ++i) {
        out.registers.gpr[i] = static_cast<std::uint64_t>(gregs[greg_of[i]]);
    }
    out.registers.rip = static_cast<std::uint64_t>(gregs[REG_RIP]);
    out.registers.rflags = static_cast<std::uint64_t>(gregs[REG_EFL]);
    const auto segments = static_cast<std::uint64_t>(gregs[REG_CSGSFS]);
    read_selectors(out.registers.selectors);
    out.registers.selectors.cs = static_cast<std::uint16_t>(segments);
    out.registers.selectors.ss = static_cast<std::uint16_t>(segments >> ss_shift);

    const auto* frame = reinterpret_cast<const std::uint8_t*>(context.uc_mcontext.fpregs);
    copy(&out.fp, frame, legacy_size);
    fill(out.fp.available.data(), 0, out.fp.available.size());
    out.fp.xstate_bv = 0;
    if (has_extended_state(frame)) {
        copy(&out.fp.xstate_bv, frame + header_offset, sizeof out.fp.xstate_bv);
    }
    if (out.fp.xstate_bv & 4) {
        copy(out.fp.ymm_high.data(), frame + avx_offset, sizeof out.fp.ymm_high);
    } else {
        fill(out.fp.ymm_high.data(), 0, sizeof out.fp.ymm_high);
    }
    for (std::size_t i = 0; i < variable_pages.size(); ++i) {
        copy(out.memory[i].data(), arena_alias + variable_pages[i] * page, page);
    }
}

void load_memory(const TestCase& in) {
    for (std::size_t i = 0; i < variable_pages.size(); ++i) {
        copy(arena_alias + variable_pages[i] * page, in.memory[i].data(), page);
    }
    fill(arena_alias + (code_begin - arena), code_filler, page);
    copy(arena_alias + (in.code_address - arena), in.code.data(), in.code_size);
}

void load(const TestCase& in, ucontext_t& context) {
    load_memory(in);
    auto& gregs = context.uc_mcontext.gregs;
    for (std::size_t i = 0; i < greg_of.size(); ++i) {
        gregs[greg_of[i]] = static_cast<greg_t>(in.registers.gpr[i]);
    }
    gregs[REG_RIP] = static_cast<greg_t>(in.registers.rip);
    gregs[REG_EFL] = static_cast<greg_t>(in.registers.rflags);
    gregs[REG_CSGSFS] =
        static_cast<greg_t>(in.registers.selectors.cs | std::uint64_t{in.registers.selectors.ss} << ss_shift);
    auto* frame = reinterpret_cast<std::uint8_t*>(context.uc_mcontext.fpregs);
    copy(frame, &in.fp, legacy_size);
    if (has_extended_state(frame)) {
        copy(frame + header_offset, &in.fp.xstate_bv, sizeof in.fp.xstate_bv);
        copy(frame + avx_offset, in.fp.ymm_high.data(), sizeof in.fp.ymm_high);
    }
    load_segments(in);
}

// Tells the driver that the batch is done and waits for the next.
void exchange() {
    std::uint8_t token = 1;
    if (system_call(SYS_write, channel_fd, reinterpret_cast<long>(&token), 1) != 1 ||
        system_call(SYS_read, channel_fd, reinterpret_cast<long>(&token), 1) != 1) {
        system_call(SYS_exit_group, 0);
    }
    current = mailbox->first;
    mailbox->completed = current;
}

// Leaves the handler. The kernel takes ID and NT from the flags that the system call was made with, all
// others from the context.
[[noreturn]] void resume(ucontext_t* context) {
    constexpr std::uint64_t id_nt = 1 << 21 | 1 << 14;
    const std::uint64_t kept = (static_cast<std::uint64_t>(context->uc_mcontext.gregs[REG_EFL]) & id_nt) | 2;
    asm volatile("push %0\n\t"
                 "popfq\n\t"
                 "mov %1, %%rsp\n\t"
                 "syscall"
                 :
                 : "r"(kept), "r"(context), "a"(SYS_rt_sigreturn)
                 : "memory");
    __builtin_unreachable();
}

} // namespace

extern "C" [[noreturn, gnu::used]] void strata_oracle_on_signal(int signal, siginfo_t*, void* raw) {
    auto* context = static_cast<ucontext_t*>(raw);
    if (running) {
        capture(signal, *context, mailbox->outputs[current]);
        ++current;
        mailbox->completed = current;
    }
    while (!running || current == mailbox->count) {
        running = true;
        exchange();
    }
    load(mailbox->inputs[current], *context);
    resume(context);
}

namespace {

// The kernel enters here with the flags of the interrupted code; AC would make ordinary code fault.
[[gnu::naked]] void on_signal(int, siginfo_t*, void*) {
    asm volatile("push $2\n\t"
                 "popfq\n\t"
                 "jmp strata_oracle_on_signal");
}

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

void map_arena() {
    const int memory = memfd_create("oracle-arena", MFD_CLOEXEC);
    if (memory < 0 || ftruncate(memory, arena_size) != 0) {
        die("arena");
    }
    void* alias = mmap(nullptr, arena_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory, 0);
    if (alias == MAP_FAILED) {
        die("arena alias");
    }
    arena_alias = static_cast<std::uint8_t*>(alias);
    std::memset(arena_alias + (code_begin - arena), code_filler, code_end - code_begin);
    std::memcpy(arena_alias + (constant_begin - arena), mailbox->constant.data(), page);
    for (std::size_t i = 0; i < arena_pages; ++i) {
        if (rights[i] == Rights::none) {
            continue;
        }
        const int protection =
            PROT_READ | (writable(rights[i]) ? PROT_WRITE : 0) | (executable(rights[i]) ? PROT_EXEC : 0);
        void* at = reinterpret_cast<void*>(arena + i * page);
        if (mmap(at, page, protection, MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, memory,
                 static_cast<off_t>(i * page)) != at ||
            mlock(at, page) != 0) {
            die("arena page");
        }
    }
    close(memory);
}

void write_local_table() {
    for (unsigned i = 0; i < local_table.size(); ++i) {
        const LocalSegment& segment = local_table[i];
        user_desc entry{};
        entry.entry_number = i;
        entry.base_addr = segment.base;
        entry.limit = segment.limit;
        entry.seg_32bit = segment.big;
        entry.contents = segment.kind & 3U;
        entry.read_exec_only = segment.restricted;
        entry.limit_in_pages = segment.pages;
        entry.seg_not_present = !segment.present;
        if (syscall(SYS_modify_ldt, 0x11, &entry, sizeof entry) != 0) {
            die("modify_ldt");
        }
    }
}

// Whether the processor would load the selector: Linux under some hypervisors accepts a local table and has
// none.
bool is_valid_selector(std::uint16_t selector) {
    bool valid;
    std::uint32_t access_rights;
    asm("lar %2, %1" : "=@ccz"(valid), "=r"(access_rights) : "r"(std::uint32_t{selector}));
    return valid;
}

void install_handlers() {
    stack_t stack{};
    stack.ss_sp = handler_stack.data();
    stack.ss_size = handler_stack.size();
    if (sigaltstack(&stack, nullptr) != 0) {
        die("sigaltstack");
    }
    struct sigaction action{};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS}) {
        if (sigaction(signal, &action, nullptr) != 0) {
            die("sigaction");
        }
    }
}

// Only what this file itself calls, and only from outside the arena; anything else becomes SIGSYS.
void forbid_system_calls() {
    constexpr auto field = [](std::size_t offset) {
        return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
    };
    constexpr auto jump_if = [](std::uint32_t value, std::uint8_t then, std::uint8_t otherwise) {
        return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise);
    };
    std::array filter{
        field(offsetof(seccomp_data, arch)),
        jump_if(AUDIT_ARCH_X86_64, 0, 8),
        field(offsetof(seccomp_data, instruction_pointer) + 4),
        jump_if(0, 6, 0), // below 4 GiB: a case
        field(offsetof(seccomp_data, nr)),
        jump_if(SYS_rt_sigreturn, 5, 0),
        jump_if(SYS_arch_prctl, 4, 0),
        jump_if(SYS_read, 3, 0),
        jump_if(SYS_write, 2, 0),
        jump_if(SYS_exit_group, 1, 0),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    if (system_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1) != 0 ||
        system_call(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, reinterpret_cast<long>(&program)) != 0) {
        system_call(SYS_exit_group, 1);
    }
}

} // namespace
} // namespace strata::oracle

int main(int argc, char** argv) {
    using namespace strata::oracle;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int width = argc == 2 ? std::atoi(argv[1]) : 0;
    code64 = width == 64;
    if (!code64) {
        write_local_table();
        if (!is_valid_selector(local_selector(width == 32 ? LocalIndex::code32 : LocalIndex::code16))) {
            return 2;
        }
    }
    void* shared = mmap(nullptr, sizeof(Mailbox), PROT_READ | PROT_WRITE, MAP_SHARED, mailbox_fd, 0);
    if (shared == MAP_FAILED) {
        die("mailbox");
    }
    mailbox = static_cast<Mailbox*>(shared);
    map_arena();
    install_handlers();
    forbid_system_calls();
    asm volatile("int3");
}
