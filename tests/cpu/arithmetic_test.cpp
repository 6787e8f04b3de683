// Eight-bit arithmetic: every pair of operands, with and without carry, against the host's own instructions.
#include "cpu_fixture.hpp"

#include <array>
#include <string>

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;

struct Outcome {
    std::uint8_t result;
    std::uint64_t flags;
    bool operator==(const Outcome&) const = default;
};

using HostOperation = Outcome (*)(std::uint8_t a, std::uint8_t b, std::uint64_t flags);

#define HOST_OPERATION(name, text)                                                                           \
    Outcome name(std::uint8_t a, std::uint8_t b, std::uint64_t flags) {                                      \
        asm("push %[flags]\n popfq\n" text "\n pushfq\n pop %[flags]"                                        \
            : "+a"(a), "+c"(b), [flags] "+r"(flags)                                                          \
            :                                                                                                \
            : "cc", "memory");                                                                               \
        return {a, flags & x86::flag::arithmetic};                                                           \
    }

HOST_OPERATION(host_add, "add %%cl, %%al")
HOST_OPERATION(host_adc, "adc %%cl, %%al")
HOST_OPERATION(host_sub, "sub %%cl, %%al")
HOST_OPERATION(host_sbb, "sbb %%cl, %%al")
HOST_OPERATION(host_cmp, "cmp %%cl, %%al")
HOST_OPERATION(host_and, "and %%cl, %%al")
HOST_OPERATION(host_or, "or %%cl, %%al")
HOST_OPERATION(host_xor, "xor %%cl, %%al")
HOST_OPERATION(host_test, "test %%cl, %%al")
HOST_OPERATION(host_inc, "inc %%al")
HOST_OPERATION(host_dec, "dec %%al")
HOST_OPERATION(host_neg, "neg %%al")
HOST_OPERATION(host_not, "not %%al")
HOST_OPERATION(host_shl, "shl %%cl, %%al")
HOST_OPERATION(host_shr, "shr %%cl, %%al")
HOST_OPERATION(host_sar, "sar %%cl, %%al")
HOST_OPERATION(host_rol, "rol %%cl, %%al")
HOST_OPERATION(host_ror, "ror %%cl, %%al")
HOST_OPERATION(host_rcl, "rcl %%cl, %%al")
HOST_OPERATION(host_rcr, "rcr %%cl, %%al")

#undef HOST_OPERATION

constexpr std::uint64_t arithmetic = x86::flag::arithmetic, af = x86::flag::af, of = x86::flag::of;

// `defined` are the flags that the manual defines; of shifts OF only where the count is 1.
struct Case {
    const char* name;
    HostOperation host;
    std::array<std::uint8_t, 2> code; // on AL and CL
    std::uint64_t defined = arithmetic;
    bool shift = false;
};

void PrintTo(const Case& test_case, std::ostream* out) { *out << test_case.name; }

class EightBitTest : public ::testing::TestWithParam<Case> {};

std::uint64_t defined_flags(const Case& test_case, unsigned count) {
    if (!test_case.shift || (count & 31) == 0) {
        return test_case.defined;
    }
    const bool beyond = (count & 31) > 8; // CF of SHL and SHR
    return test_case.defined & ~((count & 31) == 1 ? 0 : of) & ~(beyond ? x86::flag::cf : 0);
}

TEST_P(EightBitTest, AgreesWithTheHost) {
    const Case& test_case = GetParam();
    TestCpu test(Mode::long64);
    test.run(test_case.code);
    for (unsigned pair = 0; pair < 0x10000; ++pair) {
        for (const std::uint64_t before : {std::uint64_t{2}, std::uint64_t{2} | arithmetic}) {
            const auto a = static_cast<std::uint8_t>(pair), b = static_cast<std::uint8_t>(pair >> 8);
            test[x86::rax] = a;
            test[x86::rcx] = b;
            test.cpu->set_rflags(before);
            test.cpu->rip() = TestCpu::code_at;
            test.cpu->activity = x86::Activity::active;
            ASSERT_EQ(test.resume(), Exit::halt);
            const std::uint64_t defined = defined_flags(test_case, b);
            const Outcome host = test_case.host(a, b, before);
            const Outcome ours{static_cast<std::uint8_t>(test[x86::rax]), test.cpu->rflags() & arithmetic};
            ASSERT_EQ(ours.result, host.result) << unsigned{a} << ", " << unsigned{b} << ", flags " << before;
            ASSERT_EQ(ours.flags & defined, host.flags & defined)
                << unsigned{a} << ", " << unsigned{b} << ", flags " << before;
        }
    }
}

constexpr std::uint64_t no_af = arithmetic & ~af;

INSTANTIATE_TEST_SUITE_P(
    All, EightBitTest,
    ::testing::Values(Case{"add", host_add, {0x00, 0xC8}}, Case{"adc", host_adc, {0x10, 0xC8}},
                      Case{"sub", host_sub, {0x28, 0xC8}}, Case{"sbb", host_sbb, {0x18, 0xC8}},
                      Case{"cmp", host_cmp, {0x38, 0xC8}}, Case{"and", host_and, {0x20, 0xC8}, no_af},
                      Case{"or", host_or, {0x08, 0xC8}, no_af}, Case{"xor", host_xor, {0x30, 0xC8}, no_af},
                      Case{"test", host_test, {0x84, 0xC8}, no_af}, Case{"inc", host_inc, {0xFE, 0xC0}},
                      Case{"dec", host_dec, {0xFE, 0xC8}}, Case{"neg", host_neg, {0xF6, 0xD8}},
                      Case{"not", host_not, {0xF6, 0xD0}}, Case{"shl", host_shl, {0xD2, 0xE0}, no_af, true},
                      Case{"shr", host_shr, {0xD2, 0xE8}, no_af, true},
                      Case{"sar", host_sar, {0xD2, 0xF8}, no_af, true},
                      Case{"rol", host_rol, {0xD2, 0xC0}, arithmetic, true},
                      Case{"ror", host_ror, {0xD2, 0xC8}, arithmetic, true},
                      Case{"rcl", host_rcl, {0xD2, 0xD0}, arithmetic, true},
                      Case{"rcr", host_rcr, {0xD2, 0xD8}, arithmetic, true}),
    [](const auto& test) { return test.param.name; });

} // namespace
} // namespace strata::cpu
