// seccomp(2), linux/seccomp.h: a filter sees the number, the architecture and the six arguments of a call.
#include "container/process/plain_filter.hpp"

#include "container/process/bpf_program.hpp"

#include <algorithm>
#include <cstddef>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <map>
#include <seccomp.h>
#include <utility>

namespace strata::container {
namespace {

constexpr std::uint32_t x32_bit = 0x40000000; // in the numbers of the x32 architecture's calls
constexpr std::uint32_t no_call = ~0U;        // what a tracer sets in place of a call's number
constexpr std::uint32_t of_unknown_architecture = SECCOMP_RET_KILL_THREAD;

using Conditions = std::vector<SyscallArgument>; // all must hold; none: always

// What happens to one call: the action if any of the alternatives holds.
struct Verdict {
    std::uint32_t action = 0;
    bool is_wide = true;                           // arguments have 64 bits
    std::vector<const Conditions*> alternatives{}; // empty: always

    bool operator==(const Verdict&) const = default;
};

using Verdicts = std::map<std::uint32_t, Verdict>; // by the call's number

// Calls that 32-bit x86 has also, or only, as functions of socketcall and ipc. libseccomp gives them a
// negative number, not the one that many of them got later.
struct Multiplexed {
    std::string_view name;
    int number = no_number;

    static constexpr int no_number = -1;
};

constexpr Multiplexed multiplexed[] = {{"accept"},
                                       {"accept4", 364},
                                       {"bind", 361},
                                       {"connect", 362},
                                       {"getpeername", 368},
                                       {"getsockname", 367},
                                       {"getsockopt", 365},
                                       {"listen", 363},
                                       {"msgctl", 402},
                                       {"msgget", 399},
                                       {"msgrcv", 401},
                                       {"msgsnd", 400},
                                       {"recv"},
                                       {"recvfrom", 371},
                                       {"recvmmsg", 337},
                                       {"recvmsg", 372},
                                       {"semctl", 394},
                                       {"semget", 393},
                                       {"semop"},
                                       {"semtimedop"},
                                       {"send"},
                                       {"sendmmsg", 345},
                                       {"sendmsg", 370},
                                       {"sendto", 369},
                                       {"setsockopt", 366},
                                       {"shmat", 397},
                                       {"shmctl", 396},
                                       {"shmdt", 398},
                                       {"shmget", 395},
                                       {"shutdown", 373},
                                       {"socket", 359},
                                       {"socketpair", 360}};

// The rules of one architecture, if none contradicts another.
class Collector {
public:
    Collector(const Seccomp& seccomp, std::uint32_t architecture)
        : seccomp_(seccomp), architecture_(architecture) {}

    std::optional<Verdicts> collect() {
        for (const auto& rule : seccomp_.rules) {
            for (const auto& name : rule.names) {
                if (rule.action != seccomp_.default_action && !add(rule, name)) {
                    return std::nullopt;
                }
            }
        }
        return std::move(verdicts_);
    }

private:
    bool add(const SyscallRule& rule, const std::string& name) {
        int number = ::seccomp_syscall_resolve_name_arch(architecture_, name.c_str());
        if (architecture_ == SCMP_ARCH_X86) {
            const auto* entry = std::ranges::find(multiplexed, name, &Multiplexed::name);
            if (entry != std::end(multiplexed)) {
                if (!are_doors_open(rule.action)) {
                    return false;
                }
                number = entry->number;
            }
        }
        if (number < 0) {
            return true; // this architecture has no such call
        }
        Verdict verdict{.action = rule.action, .is_wide = architecture_ == SCMP_ARCH_X86_64};
        if (!rule.args.empty()) {
            verdict.alternatives.push_back(&rule.args);
        }
        const auto [known, is_new] = verdicts_.try_emplace(static_cast<std::uint32_t>(number), verdict);
        return is_new || known->second == verdict || join(known->second, verdict);
    }

    // Whether socketcall and ipc get this action whatever they are to do.
    [[nodiscard]] bool are_doors_open(std::uint32_t action) const {
        const auto is_open = [&](const char* door) {
            return std::ranges::any_of(seccomp_.rules, [&](const SyscallRule& rule) {
                return rule.action == action && rule.args.empty() &&
                       std::ranges::find(rule.names, door) != rule.names.end();
            });
        };
        return is_open("socketcall") && is_open("ipc");
    }

    // Two conditional rules of one action are alternatives.
    static bool join(Verdict& known, const Verdict& other) {
        if (known.action != other.action || known.alternatives.empty() || other.alternatives.empty()) {
            return false;
        }
        known.alternatives.push_back(other.alternatives.front());
        return true;
    }

    const Seccomp& seccomp_;
    std::uint32_t architecture_;
    Verdicts verdicts_;
};

constexpr std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

constexpr std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

// Writes what is to be done for the calls of one architecture.
class Writer {
public:
    using Place = BpfProgram::Place;

    Writer(BpfProgram& program, std::uint32_t default_action)
        : program_(program), default_action_(default_action) {}

    // A search among ranges of numbers that are treated alike.
    Place search(const Verdicts& verdicts, bool has_x32 = true) {
        ranges_ = {{0, {.action = default_action_}}};
        std::uint32_t next = 0;
        for (const auto& [number, verdict] : verdicts) {
            if (number != next) {
                begin_range(next, {.action = default_action_});
            }
            begin_range(number, verdict);
            next = number + 1;
        }
        begin_range(next, {.action = default_action_});
        if (!has_x32) {
            begin_range(x32_bit, {.action = of_unknown_architecture});
            begin_range(no_call, {.action = default_action_});
        }
        return program_.load(offsetof(seccomp_data, nr), search(0, ranges_.size()));
    }

private:
    struct Range {
        std::uint32_t first;
        Verdict verdict;
    };

    void begin_range(std::uint32_t first, const Verdict& verdict) {
        if (ranges_.back().first == first) {
            ranges_.pop_back();
        }
        if (ranges_.empty() || ranges_.back().verdict != verdict) {
            ranges_.push_back({first, verdict});
        }
    }

    Place search(std::size_t begin, std::size_t end) {
        if (end - begin == 1) {
            return decide(ranges_[begin].verdict);
        }
        const auto middle = begin + (end - begin) / 2;
        const auto below = search(begin, middle), above = search(middle, end);
        return program_.branch(BPF_JGE, ranges_[middle].first, above, below);
    }

    Place decide(const Verdict& verdict) {
        const auto action = program_.result(verdict.action);
        if (verdict.alternatives.empty()) {
            return action;
        }
        auto place = program_.result(default_action_);
        for (const auto* conditions : verdict.alternatives) {
            const auto otherwise = place;
            place = action;
            for (const auto& condition : *conditions) {
                place = compare(condition, verdict.is_wide, place, otherwise);
            }
        }
        return place;
    }

    Place compare(const SyscallArgument& argument, bool is_wide, Place yes, Place no) {
        switch (argument.comparison) {
        case SCMP_CMP_EQ: return equal(argument.index, is_wide, ~0ULL, argument.value, yes, no);
        case SCMP_CMP_NE: return equal(argument.index, is_wide, ~0ULL, argument.value, no, yes);
        case SCMP_CMP_GT: return above(argument, is_wide, BPF_JGT, yes, no);
        case SCMP_CMP_LE: return above(argument, is_wide, BPF_JGT, no, yes);
        case SCMP_CMP_GE: return above(argument, is_wide, BPF_JGE, yes, no);
        case SCMP_CMP_LT: return above(argument, is_wide, BPF_JGE, no, yes);
        default: // bits of the value that the mask does not have count for nothing
            return equal(argument.index, is_wide, argument.value, argument.value_two & argument.value, yes,
                         no);
        }
    }

    // Arguments are compared by halves; those of a 32-bit architecture have no upper one.
    Place equal(unsigned index, bool is_wide, std::uint64_t mask, std::uint64_t value, Place yes, Place no) {
        auto place = equal_half(offset(index), low(mask), low(value), yes, no);
        return is_wide ? equal_half(offset(index) + 4, high(mask), high(value), place, no) : place;
    }

    Place equal_half(std::uint32_t offset, std::uint32_t mask, std::uint32_t value, Place yes, Place no) {
        auto place = program_.branch(BPF_JEQ, value, yes, no);
        place = mask == ~0U ? place : program_.mask(mask, place);
        return program_.load(offset, place);
    }

    Place above(const SyscallArgument& argument, bool is_wide, std::uint16_t comparison, Place yes,
                Place no) {
        auto place = program_.branch(comparison, low(argument.value), yes, no);
        place = program_.load(offset(argument.index), place);
        if (is_wide) {
            place = program_.branch(BPF_JEQ, high(argument.value), place, no);
            place = program_.branch(BPF_JGT, high(argument.value), yes, place);
            place = program_.load(offset(argument.index) + 4, place);
        }
        return place;
    }

    // Of the lower half: x86 is little-endian.
    static std::uint32_t offset(unsigned index) {
        return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t));
    }

    BpfProgram& program_;
    std::uint32_t default_action_;
    std::vector<Range> ranges_;
};

bool has(const Seccomp& seccomp, std::uint32_t architecture) {
    return std::ranges::find(seccomp.architectures, architecture) != seccomp.architectures.end();
}

// Two conditions on one argument, which libseccomp cannot have in one rule, are left to who splits them.
bool has_repeated_argument(const SyscallRule& rule) {
    unsigned seen = 0;
    return std::ranges::any_of(rule.args, [&](const SyscallArgument& argument) {
        return (std::exchange(seen, seen | 1U << argument.index) & 1U << argument.index) != 0;
    });
}

bool is_plain(const Seccomp& seccomp) {
    constexpr std::uint32_t ours[] = {SCMP_ARCH_NATIVE, SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32};
    return std::ranges::all_of(seccomp.architectures,
                               [&](std::uint32_t architecture) {
                                   return std::ranges::find(ours, architecture) != std::end(ours);
                               }) &&
           std::ranges::none_of(seccomp.rules, has_repeated_argument);
}

} // namespace

std::optional<std::vector<sock_filter>> compile_plain_filter(const Seccomp& seccomp) {
    if (!is_plain(seccomp)) {
        return std::nullopt;
    }
    // x32 has x86-64's architecture, and numbers of its own.
    auto native = Collector(seccomp, SCMP_ARCH_X86_64).collect();
    if (!native) {
        return std::nullopt;
    }
    BpfProgram program;
    auto place = program.result(of_unknown_architecture);
    const bool has_x32 = has(seccomp, SCMP_ARCH_X32);
    if (has_x32) {
        auto x32 = Collector(seccomp, SCMP_ARCH_X32).collect();
        if (!x32) {
            return std::nullopt;
        }
        native->merge(*x32);
    }
    if (has(seccomp, SCMP_ARCH_X86)) {
        const auto x86 = Collector(seccomp, SCMP_ARCH_X86).collect();
        if (!x86) {
            return std::nullopt;
        }
        const auto calls = Writer(program, seccomp.default_action).search(*x86);
        place = program.branch(BPF_JEQ, AUDIT_ARCH_I386, calls, place);
    }
    const auto calls = Writer(program, seccomp.default_action).search(*native, has_x32);
    place = program.branch(BPF_JEQ, AUDIT_ARCH_X86_64, calls, place);
    program.load(offsetof(seccomp_data, arch), place);
    auto instructions = program.instructions();
    return instructions.size() <= BPF_MAXINSNS ? std::optional(std::move(instructions)) : std::nullopt;
}

} // namespace strata::container
