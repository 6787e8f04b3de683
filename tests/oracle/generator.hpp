// Makes cases: one to four instructions of random forms, and a state in which they do something worth
// comparing.
#pragma once

#include "encoder.hpp"
#include "forms.hpp"
#include "random.hpp"
#include "test_case.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace strata::oracle {

// One instruction of a case, as the generator meant it.
struct Planned {
    const Form* form;
    Decoded decoded;
    std::uint64_t address;             // linear
    std::uint64_t operand_address = 0; // linear, of the explicit memory operand
};

struct GeneratedCase {
    TestCase input{};
    std::vector<Planned> instructions{};
};

class Generator {
public:
    // `chosen`: the forms that every case has one of; `forms`: all that may follow it.
    Generator(const Disassembler& disassembler, std::span<const Form* const> chosen,
              std::span<const Form* const> forms, unsigned max_instructions);

    void make(Random& random, GeneratedCase& result) const;

private:
    const Disassembler& disassembler_;
    std::span<const Form* const> chosen_, forms_;
    unsigned max_instructions_;
};

} // namespace strata::oracle
