// What one host instruction does, to what is known about the host's state: whether it keeps within bounds,
// and what is known behind it. The paths are host_check.cpp's.
#pragma once

#include "cpu/translator/host_check.hpp"
#include "cpu/translator/host_state.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>

namespace strata::cpu::translator {

// Thrown: the code does not keep within bounds.
struct Wrong {
    std::string what;
};

class HostStep {
public:
    explicit HostStep(const HostCode& code);
    virtual ~HostStep() = default;
    HostStep(const HostStep&) = delete;
    HostStep& operator=(const HostStep&) = delete;

protected:
    // The state may be that at `target`.
    virtual void flow_to(const std::uint8_t* target, const HostState& state) = 0;

    // ---- values ----
    // A field that was not touched since the trace was entered.
    LinearValue initial(std::int64_t distance);
    LinearValue defined(Place place);
    void forget(HostState& state, unsigned number);
    // The sum of a memory operand's parts, if the processor's stack pointer is none of them.
    LinearValue sum(const HostState& state, const ZydisDecodedOperand& operand);
    std::optional<LinearValue> unless_long(const LinearValue& value) const;
    const Meaning* meaning(const LinearValue& value) const;
    static std::int64_t distance_of(const HostState& state, const ZydisDecodedOperand& operand);
    LinearValue& field(HostState& state, std::int64_t distance);

    // ---- instructions ----
    // A check that the instruction before has made: which region, of which address, by which flag.
    struct Check {
        unsigned region;
        LinearValue lowest;
        ZydisMnemonic missed_by;
    };

    // Whether it goes on behind the instruction.
    bool step(HostState& state, const std::optional<Check>& check);

    [[nodiscard]] const std::uint8_t* target() const { return next_ + operands_[0].imm.value.s; }

    // What the first operand becomes, as far as that can be told; and what a check says.
    std::optional<LinearValue> result_of(HostState& state);
    std::optional<LinearValue> loaded(HostState& state, const ZydisDecodedOperand& from);
    std::optional<LinearValue> extracted(HostState& state);
    std::optional<LinearValue> shifted(HostState& state);
    // The sum that carries unless (address - base) lies within the region's limit.
    void note_check(HostState& state);
    void overwrite(HostState& state, const ZydisDecodedOperand& operand);
    void pop(HostState& state);

    // ---- accesses ----
    void look_at_access(HostState& state, const ZydisDecodedOperand& operand);
    void look_at_bit(const HostState& state);
    void look_at_state_access(const HostState& state, const ZydisDecodedOperand& operand);
    void look_at_unit(const HostState& state);
    [[nodiscard]] bool covered(const HostState& state, unsigned region, const LinearValue& linear,
                               std::uint64_t size, bool writes) const;
    [[nodiscard]] bool covered_by_tlb(const HostState& state, std::uint64_t indexed,
                                      const LinearValue& linear, std::uint64_t size) const;

    // ---- control ----
    void jump(HostState& state);
    void jump_if_zero(const HostState& state);
    // Whether the stub may return.
    bool call(HostState& state);
    [[nodiscard]] bool is_fill(const std::uint8_t* stub) const;
    void forget_scratch(HostState& state);
    // The region's contents change.
    void refill(HostState& state, unsigned region);
    // The interpreter carries out the instruction, and has left unless all regions are as they were but those
    // that were missed.
    void interpreted(HostState& state, const Site* site);
    [[nodiscard]] std::string text() const;

    const HostCode& code_;
    const std::uint8_t* begin_;
    ZydisDecoder decoder_{};
    Symbols symbols_;
    std::map<const std::uint8_t*, const std::uint8_t*> handlers_; // by the instruction that may trap
    std::map<unsigned, const RegionUse*> uses_;                   // by region
    // The instruction that is looked at.
    const std::uint8_t *at_ = nullptr, *next_ = nullptr;
    ZydisDecodedInstruction info_{};
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands_{};
    std::optional<Check> check_; // that it has made
};

// ---- operands ----

// A field of the processor's state at a fixed distance.
[[nodiscard]] inline bool is_field(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RSP &&
           operand.mem.index == ZYDIS_REGISTER_NONE;
}

template <class Range, class Value>
[[nodiscard]] bool contains(const Range& range, const Value& value) {
    return std::ranges::find(range, value) != std::ranges::end(range);
}

// Host registers by number.
inline constexpr unsigned host_rax = 0, host_rcx = 1, host_rdx = 2, host_rsp = 4, host_r14 = 14,
                          host_r15 = 15;

} // namespace strata::cpu::translator
