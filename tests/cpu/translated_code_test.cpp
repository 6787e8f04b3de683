// The host code that typical instructions become, as text beside it: translated_code.txt. A worse translation
// shows as a difference; STRATA_UPDATE=1 in the environment writes the file anew.
#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/translator/block_compiler.hpp"
#include "cpu/x86/model.hpp"
#include "cpu_fixture.hpp"

#include <Zydis/Zydis.h>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <sstream>
#include <string>

namespace strata::cpu::translator {
namespace {

constexpr std::uint64_t code_at = 0x40'1000;
constexpr std::uint8_t hlt = 0xF4;

// Distances from the processor's state, by name.
class Names {
public:
    explicit Names(const StateLayout& layout) : layout_(layout) {
        constexpr std::array registers{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
        for (unsigned i = 0; i < registers.size(); ++i) {
            names_[layout.reg(i)] = std::string("guest_") + registers[i];
        }
        names_[layout.segment_base(x86::fs)] = "fs_base";
        names_[layout.segment_base(x86::gs)] = "gs_base";
        names_[layout.pending_signals] = "signals";
        names_[layout.borrowed] = "borrowed";
        names_[layout.minus_one] = "minus_one";
        names_[layout.vectors_in_memory] = "vectors_in_memory";
        names_[layout.wanted_signals] = "wanted_signals";
        names_[layout.other_flags] = "other_flags";
        names_[layout.kernel_gs_base] = "kernel_gs_base";
        names_[layout.data_view] = "data_view";
        names_[layout.data_tlb] = "data_tlb";
        names_[layout.all_but_if] = "all_but_if";
        names_[layout.all_but_interrupt] = "all_but_interrupt";
        names_[layout.arithmetic_flags] = "arithmetic_flags";
        names_[layout.jump_mask] = "jump_mask";
        names_[layout.jump_tags[0]] = "jump_tags";
        names_[layout.jump_targets[0]] = "jump_targets";
        names_[layout.target] = "target";
        for (std::size_t i = 0; i < layout.pointers.size(); ++i) {
            names_[layout.pointers[i]] = fmt::format("pointer{}", i);
        }
    }

    [[nodiscard]] std::string of(std::int64_t distance) const {
        if (const auto found = names_.find(static_cast<int>(distance)); found != names_.end()) {
            return found->second;
        }
        const std::int64_t in_regions = distance - layout_.region(0);
        constexpr std::array members{"minus_base", "minus_limit", "addend", "physical"};
        if (in_regions >= 0 && in_regions < std::int64_t{Regions::capacity} * 32) {
            return fmt::format("region{}.{}", in_regions / 32, members[in_regions % 32 / 8]);
        }
        const std::int64_t in_ids = distance - layout_.fetch_ids[0];
        if (in_ids >= 0 && in_ids < std::int64_t{interpreter::FetchSet::size} * 4) {
            return "page_id";
        }
        return fmt::format("state{:+}", distance);
    }

private:
    const StateLayout& layout_;
    std::map<int, std::string> names_;
};

// Disassembles host code with names instead of addresses.
class Listing {
public:
    Listing(const Names& names, const Stubs& stubs, std::span<const std::uint8_t* const> starts)
        : names_(names), starts_(starts) {
        stubs_[stubs.interpret] = "interpret";
        stubs_[stubs.load_vectors] = "load_vectors";
        ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        ZydisFormatterInit(&formatter_, ZYDIS_FORMATTER_STYLE_INTEL);
    }

    [[nodiscard]] std::string code(std::size_t instruction) const {
        std::string text;
        for (const std::uint8_t* at = starts_[instruction]; at < starts_[instruction + 1];) {
            ZydisDecodedInstruction info;
            std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
            if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder_, at, 15, &info, operands.data()))) {
                return text + "    ???\n";
            }
            text += "    " + line(at, info, operands) + '\n';
            at += info.length;
        }
        return text;
    }

    [[nodiscard]] std::string guest(const TraceInstruction& instruction) const {
        std::array<char, 128> text;
        ZydisFormatterFormatInstruction(&formatter_, &instruction.decoded.info,
                                        instruction.decoded.operands.data(),
                                        instruction.decoded.info.operand_count_visible, text.data(),
                                        text.size(), instruction.rip, nullptr);
        return std::string(text.data()) + '\n';
    }

private:
    using Operands = std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT>;

    [[nodiscard]] std::string line(const std::uint8_t* at, const ZydisDecodedInstruction& info,
                                   const Operands& operands) const {
        std::array<char, 128> buffer;
        const auto address = reinterpret_cast<std::uintptr_t>(at);
        ZydisFormatterFormatInstruction(&formatter_, &info, operands.data(), info.operand_count_visible,
                                        buffer.data(), buffer.size(), address, nullptr);
        std::string text(buffer.data());
        const ZydisDecodedOperand& first = operands[0];
        if (first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && first.imm.is_relative) {
            return text.substr(0, text.find(' ') + 1) + place(at + info.length + first.imm.value.s);
        }
        for (const ZydisDecodedOperand& operand : operands) {
            if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RSP &&
                &operand < &operands[info.operand_count_visible]) {
                const auto end = text.find(']', text.find("[rsp"));
                const auto disp = text.find_last_of("+-", end);
                text.replace(disp + 1, end - disp - 1, names_.of(operand.mem.disp.value));
            }
        }
        if (info.mnemonic == ZYDIS_MNEMONIC_MOV && operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
            operands[1].imm.value.u > 0xFFFF'FFFF && first.reg.value == ZYDIS_REGISTER_R14) {
            text = "mov r14, site"; // or another address of the translator's
        }
        return text;
    }

    [[nodiscard]] std::string place(const std::uint8_t* target) const {
        if (const auto stub = stubs_.find(target); stub != stubs_.end()) {
            return stub->second;
        }
        if (target >= starts_.back()) {
            return "later";
        }
        return fmt::format("+{}", target - starts_[0]);
    }

    const Names& names_;
    std::span<const std::uint8_t* const> starts_;
    std::map<const std::uint8_t*, std::string> stubs_;
    ZydisDecoder decoder_{};
    ZydisFormatter formatter_{};
};

class TranslatedCode : public ::testing::Test {
protected:
    // The guest's instructions, each followed by what it becomes.
    std::string translate(std::span<const std::uint8_t> code) {
        std::array<std::uint8_t, memory::page_size> page{};
        std::ranges::copy(code, page.begin() + code_at % memory::page_size);
        page[code_at % memory::page_size + code.size()] = hlt;
        frame_->native.regions.clear();
        Assembler assembler(layout_, host_.data() + stubs_size_, host_.size() - stubs_size_);
        NativeBlock native;
        native.linear = code_at;
        const interpreter::CodeMode mode{.size = interpreter::CodeMode::Size::bits64, .real_or_v86 = false};
        Trace trace;
        trace.find(decoder_, mode, page, code_at, true);
        BlockCompiler compiler(assembler, stubs_, frame_->native.regions, model_, true, native);
        compiler.compile(trace);
        const Names names(layout_);
        const Listing listing(names, stubs_, compiler.starts());
        std::string text;
        for (std::size_t i = 0; i < trace.instructions().size(); ++i) {
            if (trace.instructions()[i].rip != code_at + code.size()) { // HLT is not shown
                text += listing.guest(trace.instructions()[i]) + listing.code(i);
            }
        }
        return text;
    }

    static std::uint64_t nothing(interpreter::Cpu*, const Site*) { return 0; }

    static std::uint64_t no_region(interpreter::Cpu*, RegionUse*) { return 0; }

    void SetUp() override {
        Assembler assembler(layout_, host_.data(), host_.size());
        stubs_ = emit_stubs(assembler, {nothing, no_region, no_region});
        stubs_size_ = (assembler.getSize() + 15) / 16 * 16;
    }

    const x86::Model& model_ = *x86::find_model("max").value();
    Clock clock_;
    testing::FakeBus bus_;
    std::unique_ptr<memory::GuestMemory> memory_ = memory::GuestMemory::create(1 << 20).value();
    interpreter::Shared shared_{*memory_, clock_};
    std::unique_ptr<Frame> frame_{new Frame(shared_, VcpuConfig{.model = &model_}, bus_)};
    StateLayout layout_{*frame_};
    interpreter::Decoder decoder_{model_};
    std::vector<std::uint8_t> host_ = std::vector<std::uint8_t>(1 << 20);
    std::size_t stubs_size_ = 0;
    Stubs stubs_;
};

std::vector<std::uint8_t> bytes_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::uint8_t> bytes;
    for (unsigned byte = 0; in >> std::hex >> byte;) {
        bytes.push_back(static_cast<std::uint8_t>(byte));
    }
    return bytes;
}

// Paragraphs: a line of code in hexadecimal, below it the guest's instructions and, indented, the host's.
TEST_F(TranslatedCode, IsWhatItWas) {
    const std::string name = CPU_TEST_FOLDER "/translated_code.txt";
    std::ifstream in(name);
    ASSERT_TRUE(in) << name;
    std::string expected, actual;
    for (std::string line; std::getline(in, line);) {
        expected += line + '\n';
        if (line.starts_with('#')) {
            actual += line + '\n';
        } else if (line.starts_with(": ")) {
            actual += '\n' + line + '\n' + translate(bytes_of(line.substr(2)));
        }
    }
    if (std::getenv("STRATA_UPDATE") != nullptr) {
        std::ofstream(name) << actual;
        return;
    }
    std::istringstream was(expected), is(actual);
    std::string guest;
    for (std::string before, now; std::getline(was, before) && std::getline(is, now);) {
        guest = before.starts_with(": ") ? before : guest;
        ASSERT_EQ(now, before) << "in the translation of " << guest;
    }
    EXPECT_EQ(actual.size(), expected.size());
}

} // namespace
} // namespace strata::cpu::translator
