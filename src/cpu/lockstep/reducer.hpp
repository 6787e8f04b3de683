// Cuts a case down to what it needs to still differ: a few instructions, a few registers, a few words of
// memory.
#pragma once

#include "cpu/lockstep/trial.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace strata::cpu::lockstep {

struct Reduced {
    Case remains{};
    std::string report;                    // what differs then, and both states
    std::vector<std::string> instructions; // what remains of them, as assembly
    std::uint64_t trials = 0;
};

class Reducer {
public:
    explicit Reducer(MakeLeader make_leader) : make_leader_(std::move(make_leader)) {}

    // None: the case does not differ.
    [[nodiscard]] Result<std::optional<Reduced>> reduce(const Case& given);

private:
    [[nodiscard]] Result<bool> begin(const Case& given);
    [[nodiscard]] bool accept(const Case& candidate);
    [[nodiscard]] std::size_t reduce_code();
    void follow_evidence();
    void begin_later();
    [[nodiscard]] bool begin_later(std::uint64_t instructions);
    void leave_out_instructions();
    void move_together();
    void end_with_halt();
    void leave_out_surroundings();
    void simplify_state();
    void leave_out_words();
    void leave_out(std::size_t count, const std::function<void(Case&, std::size_t)>& remove);
    void leave_out(std::size_t first, std::size_t count,
                   const std::function<void(Case&, std::size_t)>& remove);

    // Instructions of the case that matter, each once, by address.
    struct Code {
        std::uint64_t linear;
        memory::GuestPhysical physical;
        std::vector<std::byte> bytes;
        std::string text;
    };

    [[nodiscard]] std::vector<Code> code() const;
    static void put(Case& into, memory::GuestPhysical at, const std::vector<std::byte>& bytes);

    MakeLeader make_leader_;
    Pace pace_{};
    Case case_{};
    std::optional<Difference> difference_;
    std::uint64_t trials_ = 0;
};

} // namespace strata::cpu::lockstep
