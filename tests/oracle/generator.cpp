#include "generator.hpp"

#include "cpu/x86/state.hpp"
#include "initial_state.hpp"
#include "steering.hpp"
#include "tolerance.hpp"

#include <algorithm>

namespace strata::oracle {

namespace {

constexpr unsigned attempts = 24;

// Where the code starts: mostly inside a page, sometimes so that it runs over a page's end.
std::uint64_t code_start(Random& random) {
    const auto near_end_of = [&](std::uint64_t end) { return end - 1 - random.below(14); };
    const auto choice = random.below(100);
    if (choice < 75) {
        return code_begin + random.below(page - 2 * max_code);
    }
    if (choice < 90) {
        return near_end_of(code_begin + page);
    }
    return choice < 97 ? code_begin + page + random.below(page - 2 * max_code) : near_end_of(code_end);
}

bool reads(const ZydisDecodedInstruction& info, std::uint64_t flags) {
    return info.cpu_flags != nullptr && (info.cpu_flags->tested & flags) != 0;
}

// No kernel can return to user code whose stack pointer is not canonical.
bool is_canonical(std::uint64_t address) {
    const std::uint64_t upper = address >> 47;
    return upper == 0 || upper == (std::uint64_t{1} << 17) - 1;
}

// Builds one case, instruction by instruction.
class Builder {
public:
    Builder(const Disassembler& disassembler, Random& random, GeneratedCase& result)
        : disassembler_(disassembler), random_(random), result_(result),
          steering_(disassembler, random, result.input) {}

    // Adds an instruction of one of the forms; false if none was found that fits what is there already.
    bool append(std::span<const Form* const> forms) {
        if (!result_.instructions.empty() && ends_case(result_.instructions.back().decoded)) {
            return false;
        }
        for (unsigned i = 0; i < attempts; ++i) {
            if (try_form(*random_.pick(forms))) {
                return true;
            }
        }
        return false;
    }

private:
    bool try_form(const Form& form) {
        TestCase& input = result_.input;
        const Encoding& encoding = random_.pick(std::span(form.encodings));
        const CodeBytes bytes = encode_randomly(encoding, disassembler_.width(), random_);
        Planned planned{&form, {}, input.code_address + input.code_size};
        if (!disassembler_.decode(bytes.first(ZYDIS_MAX_INSTRUCTION_LENGTH), planned.decoded) ||
            planned.decoded.info.mnemonic != form.mnemonic || reads(planned.decoded.info, undefined_flags_)) {
            return false;
        }
        if (vendor_specific(planned.decoded.info)) {
            return false;
        }
        std::ranges::copy(bytes.first(planned.decoded.info.length), input.code.begin() + input.code_size);
        const Registers before = input.registers;
        if (!steering_.fit(planned) || !is_canonical(input.registers.gpr[cpu::x86::rsp])) {
            input.registers = before;
            return false;
        }
        undefined_flags_ =
            undefined_flags_after(planned, input, result_.instructions.empty(), undefined_flags_);
        input.code_size += planned.decoded.info.length;
        result_.instructions.push_back(planned);
        return true;
    }

    const Disassembler& disassembler_;
    Random& random_;
    GeneratedCase& result_;
    Steering steering_;
    std::uint64_t undefined_flags_ = 0;
};

} // namespace

Generator::Generator(const Disassembler& disassembler, std::span<const Form* const> chosen,
                     std::span<const Form* const> forms, unsigned max_instructions)
    : disassembler_(disassembler), chosen_(chosen), forms_(forms), max_instructions_(max_instructions) {}

void Generator::make(Random& random, GeneratedCase& result) const {
    TestCase& input = result.input;
    const unsigned wanted =
        random.chance(60) ? 1 : 1 + static_cast<unsigned>(random.below(max_instructions_));
    for (;;) {
        result.instructions.clear();
        randomize(random, disassembler_.width(), input);
        input.code_size = 0;
        input.code.fill(code_filler);
        input.code_address = code_start(random);
        input.registers.rip = input.code_address - (disassembler_.width() == 16 ? arena : 0);
        Builder builder(disassembler_, random, result);
        if (builder.append(chosen_)) {
            while (result.instructions.size() < wanted && builder.append(forms_)) {
            }
            return;
        }
    }
}

} // namespace strata::oracle
