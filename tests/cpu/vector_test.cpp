// Vector instructions against the host's own: every form that both have, with random and special operands
// under random MXCSR, must leave the same registers, memory and flags.
#include "cpu/x86/isa_features.hpp"
#include "cpu_fixture.hpp"
#include "fp_operands.hpp"
#include "native_vector.hpp"
#include "vector_forms.hpp"

#include <cstring>
#include <fmt/format.h>
#include <string>

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::NativeVector;
using testing::TestCpu;
using testing::VectorForm;
using testing::VectorState;

bool host_has(ZydisISASet set) {
    switch (set) {
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSEMXCSR:
    case ZYDIS_ISA_SET_SSE2: return true;
    case ZYDIS_ISA_SET_SSE3: return __builtin_cpu_supports("sse3");
    case ZYDIS_ISA_SET_SSSE3: return __builtin_cpu_supports("ssse3");
    case ZYDIS_ISA_SET_SSE4: return __builtin_cpu_supports("sse4.1");
    case ZYDIS_ISA_SET_SSE42: return __builtin_cpu_supports("sse4.2");
    case ZYDIS_ISA_SET_AVX: return __builtin_cpu_supports("avx");
    case ZYDIS_ISA_SET_AVX2:
    case ZYDIS_ISA_SET_AVX2GATHER: return __builtin_cpu_supports("avx2");
    case ZYDIS_ISA_SET_FMA: return __builtin_cpu_supports("fma");
    case ZYDIS_ISA_SET_F16C: return __builtin_cpu_supports("f16c");
    case ZYDIS_ISA_SET_AES: return __builtin_cpu_supports("aes");
    case ZYDIS_ISA_SET_AVXAES: return __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx");
    case ZYDIS_ISA_SET_PCLMULQDQ: return __builtin_cpu_supports("pclmul");
    case ZYDIS_ISA_SET_SHA: return __builtin_cpu_supports("sha");
    default: return false;
    }
}

// The instructions of this test: those of the sets above that leave control flow and MXCSR's control bits
// alone.
bool is_tested(const ZydisDecodedInstruction& info) {
    switch (info.mnemonic) {
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR: // through the host's own flags: see StoresMxcsr
    case ZYDIS_MNEMONIC_VSTMXCSR:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE: return false;
    default: break;
    }
    return host_has(info.meta.isa_set) && info.meta.category != ZYDIS_CATEGORY_PREFETCH;
}

bool uses_mmx(const VectorForm& form) {
    // Legacy forms without a prefix are MMX's, where the instruction has both; so are conversions from MM
    // registers.
    std::mt19937_64 random(0);
    const auto encoded = testing::encode(form, random, 0);
    ZydisDisassembledInstruction text;
    ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, 0, encoded.bytes.data(), encoded.bytes.size(), &text);
    for (unsigned i = 0; i < text.info.operand_count; ++i) {
        if (text.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(text.operands[i].reg.value) == ZYDIS_REGCLASS_MMX) {
            return true;
        }
    }
    return form.mnemonic == ZYDIS_MNEMONIC_CVTPI2PS || form.mnemonic == ZYDIS_MNEMONIC_CVTPI2PD;
}

std::string disassemble(const std::vector<std::uint8_t>& bytes) {
    ZydisDisassembledInstruction text;
    ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, 0, bytes.data(), bytes.size(), &text);
    return text.text;
}

class VectorTest : public ::testing::Test {
protected:
    static constexpr std::size_t buffer_size = 256;
    static constexpr std::uint64_t guest_buffer = TestCpu::data_at;
    static constexpr unsigned rsp = x86::rsp, rdi = x86::rdi;
    using Buffer = std::array<std::uint8_t, buffer_size>;

    // A vector of one kind of contents.
    x86::Vector256 random_vector() {
        x86::Vector256 result;
        switch (operands_.bits() % 5) {
        case 0:
            for (auto& lane : result.lanes) {
                lane = operands_.bits();
            }
            break;
        case 1:
        case 2:
            for (auto& lane : result.lanes) {
                lane = operands_.next<std::uint64_t>();
            }
            break;
        case 3: // small and large integers
            for (auto& lane : result.lanes) {
                const auto shift = operands_.bits() % 64;
                lane = static_cast<std::uint64_t>(static_cast<std::int64_t>(operands_.bits()) >> shift);
            }
            break;
        default:
            for (auto& lane : result.lanes) {
                lane = operands_.next<std::uint32_t>() | std::uint64_t{operands_.next<std::uint32_t>()} << 32;
            }
            break;
        }
        return result;
    }

    VectorState random_state(std::uint64_t unmasked) {
        VectorState state;
        for (auto& vector : state.ymm) {
            vector = random_vector();
        }
        // Some equal operands and near ones.
        if (operands_.bits() % 4 == 0) {
            state.ymm[operands_.bits() % 16] = state.ymm[operands_.bits() % 16];
        }
        for (auto& value : state.gpr) {
            value = operands_.bits() >> operands_.bits() % 64;
        }
        constexpr std::uint64_t modes = x86::mxcsr::rounding | x86::mxcsr::denormals_are_zero |
                                        x86::mxcsr::flush_to_zero | x86::mxcsr::flags;
        state.mxcsr = (operands_.bits() & modes) | (x86::mxcsr::masks & ~unmasked);
        state.rflags = x86::flag::fixed | (operands_.bits() & x86::flag::arithmetic);
        return state;
    }

    Buffer random_buffer() {
        Buffer buffer;
        for (std::size_t i = 0; i < buffer_size; i += sizeof(x86::Vector256)) {
            const auto vector = random_vector();
            std::memcpy(&buffer[i], &vector, sizeof vector);
        }
        return buffer;
    }

    // Runs the instruction in the interpreter; false if it raised #XM.
    bool run_guest(const std::vector<std::uint8_t>& code, VectorState& state, Buffer& buffer) {
        auto& cpu = *guest_.cpu;
        for (unsigned i = 0; i < 16; ++i) {
            cpu.regs[i] = state.gpr[i];
        }
        cpu.regs[rsp] = TestCpu::stack_top;
        cpu.regs[rdi] = guest_buffer;
        cpu.fp.ymm = state.ymm;
        cpu.fp.mxcsr = static_cast<std::uint32_t>(state.mxcsr);
        cpu.set_rflags(state.rflags);
        guest_.write_bytes(guest_buffer, buffer);
        guest_.run(code);
        const auto caught = guest_.caught();
        EXPECT_TRUE(!caught || *caught == static_cast<unsigned>(x86::Vector::simd_fault))
            << disassemble(code) << " raised exception " << *caught;
        for (unsigned i = 0; i < 16; ++i) {
            state.gpr[i] = cpu.regs[i];
        }
        state.ymm = cpu.fp.ymm;
        state.mxcsr = cpu.fp.mxcsr;
        state.rflags = cpu.rflags() & x86::flag::arithmetic;
        buffer = guest_.read<Buffer>(guest_buffer);
        return !caught;
    }

    bool run_native(const std::vector<std::uint8_t>& code, VectorState& state, Buffer& buffer) {
        alignas(64) static Buffer memory;
        memory = buffer;
        state.gpr[rdi] = reinterpret_cast<std::uintptr_t>(memory.data());
        const bool completed = native_.run(code, state);
        state.rflags &= x86::flag::arithmetic;
        buffer = memory;
        return completed;
    }

    void expect_same(const std::vector<std::uint8_t>& code, const VectorState& before, const Buffer& memory) {
        VectorState native = before, guest = before;
        Buffer native_memory = memory, guest_memory = memory;
        const bool native_completed = run_native(code, native, native_memory);
        const bool guest_completed = run_guest(code, guest, guest_memory);
        EXPECT_EQ(guest_completed, native_completed) << explain(code, before, native, guest);
        for (const unsigned excepted : {rsp, rdi}) {
            native.gpr[excepted] = guest.gpr[excepted] = 0;
        }
        if (!guest_completed) { // the handler's frame and flags are not the instruction's
            native.rflags = guest.rflags = 0;
        }
        EXPECT_TRUE(guest == native) << explain(code, before, native, guest);
        EXPECT_TRUE(guest_memory == native_memory)
            << "memory differs: " << explain(code, before, native, guest);
    }

    static std::string explain(const std::vector<std::uint8_t>& code, const VectorState& before,
                               const VectorState& native, const VectorState& guest) {
        std::string text = disassemble(code) + fmt::format("\n  mxcsr {:x} -> native {:x} guest {:x}",
                                                           before.mxcsr, native.mxcsr, guest.mxcsr);
        for (unsigned i = 0; i < 16; ++i) {
            const auto show = [&](const char* name, const x86::Vector256& value) {
                text += fmt::format("\n  ymm{} {} {:016x} {:016x} {:016x} {:016x}", i, name, value.lanes[3],
                                    value.lanes[2], value.lanes[1], value.lanes[0]);
            };
            if (disassemble(code).contains(fmt::format("mm{}", i)) || native.ymm[i] != guest.ymm[i]) {
                show("before", before.ymm[i]);
                if (native.ymm[i] != before.ymm[i] || guest.ymm[i] != before.ymm[i]) {
                    show("native", native.ymm[i]);
                    show("guest ", guest.ymm[i]);
                }
            }
            if (native.gpr[i] != guest.gpr[i]) {
                text += fmt::format("\n  r{} before {:x} native {:x} guest {:x}", i, before.gpr[i],
                                    native.gpr[i], guest.gpr[i]);
            }
        }
        return text + fmt::format("\n  flags native {:x} guest {:x}", native.rflags, guest.rflags);
    }

    void run_forms(unsigned rounds, bool unmask) {
        if (!NativeVector::available()) {
            GTEST_SKIP() << "the host has no AVX";
        }
        guest_.catch_exceptions();
        const auto forms = testing::vector_forms(is_tested);
        ASSERT_GT(forms.size(), 500U);
        std::mt19937_64 random(7);
        for (const VectorForm& form : forms) {
            if (uses_mmx(form)) {
                continue;
            }
            const auto failed_before = failures();
            for (unsigned round = 0; round < rounds && failures() == failed_before; ++round) {
                const auto encoded = testing::encode(form, random, 32);
                if (encoded.bytes.empty()) {
                    continue;
                }
                const std::uint64_t unmasked =
                    unmask ? (operands_.bits() & x86::mxcsr::flags) << x86::mxcsr::mask_shift : 0;
                VectorState state = random_state(unmasked);
                if (form.gather) { // indices within the buffer
                    for (auto& lane : state.ymm[encoded.index].lanes) {
                        lane &= form.opcode & 1 ? 31 : 0x1F'0000'001F; // VGATHERQ: quadword indices
                    }
                }
                expect_same(encoded.bytes, state, random_buffer());
            }
            ASSERT_LT(failures(), 20) << "and so on";
        }
    }

    static int failures() {
        return ::testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
    }

    x86::test::FpOperands operands_{11};
    TestCpu guest_{Mode::long64};
    NativeVector native_;
};

TEST_F(VectorTest, AgreesWithTheHost) { run_forms(12, false); }

TEST_F(VectorTest, AgreesWithTheHostWhileExceptionsAreUnmasked) { run_forms(6, true); }

} // namespace
} // namespace strata::cpu
