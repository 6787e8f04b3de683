// Translates code that belongs to no machine, and shows what became of it: guest and host instructions.
#pragma once

#include "base/clock.hpp"
#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/translator/compiled_trace.hpp"
#include "cpu/translator/frame.hpp"
#include "cpu/translator/layout.hpp"
#include "cpu/translator/stubs.hpp"
#include "cpu/translator/trace.hpp"
#include "cpu/x86/model.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strata::cpu::translator {

struct ListedInstruction {
    struct Host {
        std::vector<std::uint8_t> bytes;
        std::string text; // the processor's state by name: [rsp+guest_r12]
        // Which bytes are a distance into the state or to a stub: they change from build to build.
        std::uint8_t distance_at = 0, distance_bytes = 0;
    };

    std::uint64_t address; // in the guest
    std::vector<std::uint8_t> bytes;
    std::string text;
    std::vector<Host> host; // what is run seldom, behind the trace, is not shown
};

class Listing {
public:
    // For a guest of `model`, on a host that can what `host` can.
    Listing(const x86::Model& model, const x86::Model& host);
    ~Listing();
    Listing(const Listing&) = delete;
    Listing& operator=(const Listing&) = delete;

    struct Guest {
        bool user = false;   // a program's code, else a kernel's
        bool narrow = false; // 32-bit code, else 64-bit
    };

    // The trace that begins with `code`, which lies in one page.
    [[nodiscard]] std::vector<ListedInstruction> translate(std::span<const std::uint8_t> code,
                                                           std::uint64_t address, const Guest& guest);

    // What find_escape() says of the host code, after somebody has changed it.
    [[nodiscard]] std::optional<std::string>
    escape(std::span<const std::uint8_t> code, std::uint64_t address, const Guest& guest,
           const std::function<void(std::span<std::uint8_t>)>& tamper);

    // Which processor translates, as far as that shows in the code.
    struct Place {
        unsigned regions_taken = 0; // before
        std::uint32_t page_id = 0;
    };

    struct Copies {
        std::optional<CompiledTrace> trace;
        std::vector<std::uint8_t> compiled; // where it lies
        std::vector<std::uint8_t> copied;   // a copy of another's trace, made good in the same place
        bool installed = false;             // whether that could be done from the beginning, too
    };

    // What the code becomes in a place, and what a trace of the same code becomes there that was made
    // elsewhere, if there is one.
    [[nodiscard]] Copies copies(std::span<const std::uint8_t> code, std::uint64_t address, const Guest& guest,
                                const Place& place, const CompiledTrace* made_elsewhere);

    // Whether a trace of unknown origin, which is not run, can be made good here.
    [[nodiscard]] bool takes(const CompiledTrace& trace);

private:
    struct Translation;
    // The guest's page that holds the code at `address`, followed by HLT, which ends the trace.
    static std::array<std::uint8_t, memory::page_size> page_of(std::span<const std::uint8_t> code,
                                                               std::uint64_t address);
    static interpreter::CodeMode mode_of(const Guest& guest);
    void compile(Translation& translation, std::span<const std::uint8_t> page, std::uint64_t address,
                 const Guest& guest);

    const x86::Model& model_;
    const x86::Model& host_;
    Clock clock_{0};
    std::unique_ptr<Bus> bus_; // nothing is run, so nothing is asked
    std::unique_ptr<memory::GuestMemory> memory_;
    interpreter::Shared shared_;
    std::unique_ptr<Frame> frame_;
    StateLayout layout_;
    interpreter::Decoder decoder_;
    std::vector<std::uint8_t> host_code_; // is never run
    std::size_t stubs_size_;
    Stubs stubs_;
};

} // namespace strata::cpu::translator
