// How often each vCPU came out of the guest on engines that the machine has left since.
#pragma once

#include "cpu/assistance.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace strata::vm {

// By the engine's name, then by the reason's.
using ExitsByEngine = std::map<std::string, std::map<std::string, std::uint64_t>, std::less<>>;

class ExitHistory {
public:
    explicit ExitHistory(unsigned vcpus) : exits_(vcpus) {}

    void add(unsigned vcpu, std::string_view engine, const std::vector<cpu::Count>& counts) {
        add_to(exits_[vcpu], engine, counts);
    }

    // With those on the engine that the vCPU has now.
    [[nodiscard]] ExitsByEngine total(unsigned vcpu, std::string_view engine,
                                      const std::vector<cpu::Count>& counts) const {
        ExitsByEngine sum = exits_[vcpu];
        add_to(sum, engine, counts);
        return sum;
    }

private:
    static void add_to(ExitsByEngine& exits, std::string_view engine, const std::vector<cpu::Count>& counts) {
        auto& of_engine = exits[std::string(engine)];
        for (const auto& [reason, count] : counts) {
            of_engine[std::string(reason)] += count;
        }
    }

    std::vector<ExitsByEngine> exits_; // by vCPU
};

} // namespace strata::vm
