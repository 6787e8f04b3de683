// A run of cases: generated, executed natively and interpreted at the same time, compared, counted.
#pragma once

#include "compare.hpp"
#include "generator.hpp"
#include "guest.hpp"
#include "native.hpp"
#include "transposition.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strata::oracle {

struct Options {
    std::uint64_t seed = 0;
    std::uint64_t cases = 200'000;
    std::optional<std::uint64_t> only{}; // one case's number
    std::vector<std::string> filters{};  // mnemonics, or beginnings of form names; empty: all
    unsigned width = 64;
    unsigned max_instructions = 4;
    std::string engine = "interpreter";
    std::string native_program{};
    unsigned differences_shown = 20;
    unsigned translated = 0; // per cent of the cases for which the engine has to make a trace at least
    bool verbose = false;
    bool own_segments = false; // narrow code natively in code segments of its width, where the host has them
    bool native_only = false;  // run each case twice natively instead
};

struct FormCount {
    std::uint64_t cases = 0, completed = 0, faulted = 0, different = 0;
    std::uint64_t without_equivalent = 0; // generated, but the host cannot run them
};

// A case with what is known of it.
struct Trial {
    explicit Trial(const Disassembler& disassembler) : transposition(disassembler) {}

    std::uint64_t number = 0;
    GeneratedCase generated{};
    Transposition transposition;
    SystemMode mode = SystemMode::long_mode;
    Outcome other{}; // the interpreter's, or the first native one
};

class Session {
public:
    static Result<std::unique_ptr<Session>> create(Options options);

    // False if anything differed or could not be run.
    Result<bool> run();
    void print_summary() const;
    void print_forms() const; // that the filters choose
    Result<void> write_coverage(const std::string& file) const;

private:
    explicit Session(Options options);
    Result<void> select_forms();
    Result<void> start_native(const std::array<std::uint8_t, page>& constant);
    [[nodiscard]] Result<void> check_translated() const;
    Result<void> run_batch(std::uint64_t first, std::uint32_t count);
    Result<TestCase> prepare(Trial& trial);
    void judge(const Trial& trial, const Outcome& native);
    [[nodiscard]] static bool comparable(const Trial& trial, const Outcome& native);
    [[nodiscard]] std::vector<std::string> disagreement(const Trial& trial, const Outcome& native) const;
    void show(const Trial& trial, const Outcome& native, const std::vector<std::string>& lines) const;

    Options options_;
    cpu::x86::Model model_;
    Disassembler disassembler_;
    std::vector<Form> forms_;
    std::vector<const Form*> compared_, chosen_;
    std::unique_ptr<Generator> generator_;
    std::unique_ptr<NativeProcessor> native_;
    std::unique_ptr<Guest> guest_;
    bool transposed_ = false; // the host runs 64-bit equivalents
    std::vector<Trial> batch_;
    std::map<const Form*, FormCount> counts_;
    std::uint64_t run_ = 0, different_ = 0, refused_ = 0;
};

} // namespace strata::oracle
