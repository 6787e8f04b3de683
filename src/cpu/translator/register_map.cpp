#include "cpu/translator/register_map.hpp"

#include "cpu/translator/effective_address.hpp"
#include "cpu/x86/state.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace strata::cpu::translator {

namespace {

// How often a trace names each guest register, and which have to stay where they are.
struct Uses {
    std::array<unsigned, 16> count{};
    std::array<bool, 16> fixed{};

    void add(ZydisRegister name) {
        if (is_general(name)) {
            ++count[number_of(name)];
        }
    }

    void fix(ZydisRegister name) {
        // The host's rCX is never the guest's: who implies it is not copied.
        if (is_general(name) && number_of(name) != x86::rcx) {
            fixed[number_of(name)] = true;
        }
    }
};

Uses uses_of(const Trace& trace) {
    Uses uses;
    uses.fixed[x86::rsp] = true;
    for (const TraceInstruction& instruction : trace.instructions()) {
        if (!instruction.known) {
            continue; // the interpreter's, which has all where it usually is
        }
        for (const ZydisDecodedOperand& operand : instruction.decoded.all()) {
            if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
                uses.add(operand.mem.base);
                uses.add(operand.mem.index);
            } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
                uses.add(operand.reg.value);
                if (operand.encoding == ZYDIS_OPERAND_ENCODING_NONE || is_high_byte(operand.reg.value)) {
                    uses.fix(operand.reg.value);
                }
            }
        }
    }
    return uses;
}

} // namespace

RegisterMap::RegisterMap(const Trace& trace) {
    // An exchange is two moves there and two back; for a loop that is once in many rounds.
    const unsigned least_gain = trace.loops() ? 3 : 6;
    const Uses uses = uses_of(trace);
    std::vector<unsigned> in_memory, in_registers;
    for (unsigned guest = 0; guest < hosts_.size(); ++guest) {
        if (hosts_[guest] < 0) {
            in_memory.push_back(guest);
        } else if (!uses.fixed[guest]) {
            in_registers.push_back(guest);
        }
    }
    const auto count = [&](unsigned guest) { return uses.count[guest]; };
    // By count, then by number, so that a trace always gets the same map.
    std::ranges::sort(in_memory, {},
                      [&](unsigned guest) { return std::pair(-std::int64_t{count(guest)}, guest); });
    std::ranges::sort(in_registers, {}, [&](unsigned guest) { return std::pair(count(guest), guest); });
    for (std::size_t i = 0; i < std::min(in_memory.size(), in_registers.size()); ++i) {
        const unsigned now = in_memory[i], usual = in_registers[i];
        if (count(now) < count(usual) + least_gain) {
            break;
        }
        exchanges_.push_back({static_cast<unsigned>(hosts_[usual]), usual, now});
        hosts_[now] = std::exchange(hosts_[usual], -1);
    }
}

} // namespace strata::cpu::translator
