// Runs one processor's blocks as host code: decides what is worth translating, keeps it, links it, drops it.
#pragma once

#include "cpu/interpreter/blocks.hpp"
#include "cpu/translator/code_memory.hpp"
#include "cpu/translator/frame.hpp"
#include "cpu/translator/layout.hpp"
#include "cpu/translator/native_block.hpp"
#include "cpu/translator/path_recorder.hpp"
#include "cpu/translator/statistics.hpp"
#include "cpu/translator/stubs.hpp"
#include "cpu/translator/trace.hpp"
#include "cpu/translator/trace_store.hpp"

#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace strata::cpu::translator {

struct Policy {
    std::uint32_t runs_before_translation; // how often a block is met without host code before it gets some
    std::uint32_t runs_before_reuse;       // and before it gets what was made of the same code before
    std::size_t decoded_bytes;             // of instructions that are kept, about
    bool keeps_all;                        // translates even what is written again and again
    bool unrolls_at_once;                  // loops, else when they are known to be busy
    bool records_at_once;                  // the paths of loops, likewise
    bool checks; // find_escape() judges all code before it runs: the process ends if there is any
};

class Translator final : public interpreter::BlockAccelerator {
public:
    // `frame` outlives it, and `store`, which may be null.
    Translator(Frame& frame, CodeMemory code, const Policy& policy, TraceStore* store);
    ~Translator() override;
    Translator(const Translator&) = delete;
    Translator& operator=(const Translator&) = delete;

    bool execute(interpreter::Block& block, interpreter::Block*& next_block) override;
    void discard(interpreter::Block& block) override;

    // Where to go on after a trap at a host address: the way to the interpreter; 0 if the trap is not a
    // guest's.
    [[nodiscard]] std::uintptr_t trap_handler(std::uintptr_t instruction) const;

    [[nodiscard]] const Statistics& statistics() const { return statistics_; }

private:
    static constexpr std::size_t most_bytes_of_trace = 128 << 10; // of host code, slow paths and all
    static constexpr std::uint32_t busy = ~std::uint32_t{0};      // Block::runs of what is known to be busy

    static std::uint64_t interpret(interpreter::Cpu* cpu, const Site* site);
    static std::uint64_t take_signal(interpreter::Cpu* cpu, Link* link);
    static std::uint64_t grow_region(interpreter::Cpu* cpu, std::uint64_t number);
    static std::uint64_t walk_region(interpreter::Cpu* cpu, std::uint64_t number);
    static std::uint64_t time_stamp(interpreter::Cpu* cpu);
    static std::uint64_t load_x87(interpreter::Cpu* cpu, std::uint64_t);
    void look_at_misses(RegionUse& use, std::uint64_t linear);
    [[nodiscard]] std::uint64_t next_target();
    void take_over();
    void hand_back();
    void take_interrupt();
    [[nodiscard]] bool goes_on();
    [[nodiscard]] std::uintptr_t known_target();
    // What the instruction is known to fault with before it is carried out: exceptions of C++ take the time
    // of a thousand instructions.
    [[nodiscard]] std::optional<interpreter::Fault> known_fault(const Site& site);
    void deliver_fault(const interpreter::Fault& fault, unsigned length);

    [[nodiscard]] NativeBlock* native_of(interpreter::Block& block, bool plain);
    [[nodiscard]] NativeBlock* translate(interpreter::Block& block, bool plain);
    [[nodiscard]] NativeBlock* translate_crossing(interpreter::Block& block, bool plain);
    void let_in(const NativeBlock& native);
    [[nodiscard]] std::uint32_t page_id(std::uint64_t linear, memory::GuestPhysical physical);
    [[nodiscard]] static memory::GuestPhysical page_of(const interpreter::Block& block);
    [[nodiscard]] std::unique_ptr<NativeBlock> new_native(memory::GuestPhysical page, std::uint64_t linear,
                                                          const interpreter::CodeMode& mode);
    // trace_, as `block`'s. `page` is what its page's bytes are, empty if they are not to be shown.
    NativeBlock* compile(std::unique_ptr<NativeBlock> native, interpreter::Block& block,
                         std::span<const std::uint8_t> page);
    [[nodiscard]] bool unrolls(const interpreter::Block& block, bool plain) const;
    NativeBlock& keep(std::unique_ptr<NativeBlock> native, interpreter::Block& block, std::size_t size,
                      std::span<const Trap> traps);
    void check(const NativeBlock& native, std::span<const Trap> traps, const std::uint8_t* end) const;
    void add_traps(std::span<const Trap> traps);
    // ---- along paths (paths.cpp) ----
    void found_busy(const NativeBlock& native);
    void make_busy(interpreter::Block& block);
    [[nodiscard]] static bool waits_for_path(const interpreter::Block& block);
    [[nodiscard]] bool watches(interpreter::Block& block);
    [[nodiscard]] PathRecorder::Step step_at(interpreter::Block& block);
    void translate_path(interpreter::Block& first);

    struct PageCopy {
        memory::GuestPhysical physical;
        std::array<std::uint8_t, memory::page_size> bytes;
    };

    [[nodiscard]] std::vector<Stretch> stretches(std::vector<std::unique_ptr<PageCopy>>& pages);
    // ---- what was made before (reuse.cpp) ----
    [[nodiscard]] NativeBlock* reuse(interpreter::Block& block, bool plain);
    [[nodiscard]] TraceKey key_of(const interpreter::Block& block, bool plain) const;
    void offer(const CompiledTrace::Compiled& compiled, const interpreter::Block& block);
    [[nodiscard]] bool is_safe(const NativeBlock& native, const CompiledTrace& trace,
                               std::span<const Trap> traps, const std::byte* page);
    [[nodiscard]] bool runnable(const NativeBlock& native) const;
    void enter(const NativeBlock& native);
    void connect(Link* link, NativeBlock& to);
    void unlink(Link& link);
    void drop(NativeBlock& native);
    void remove(NativeBlock& native);
    void remove_all(interpreter::Block& block);
    void make_room();
    void evict(unsigned section);
    void give_back_regions(const NativeBlock& native);
    void forget_jumps(std::uint64_t linear);
    // Whether there is translated code for the processor's mode, and it would do what it should.
    [[nodiscard]] bool translates() const;
    // Whether 32-bit code reaches all addresses by all segments but FS and GS.
    [[nodiscard]] bool flat() const;
    // Whether all of it may be executed before time is looked at.
    [[nodiscard]] bool fits(const NativeBlock& native) const;
    void begin_counting();
    void end_counting(std::uint64_t executed);
    void look_at_state();
    void look_at_segments();
    void look_at_vectors();

    void look_at_x87() { frame_.native.x87.look_at(cpu_.fp, cpu_.system); }

    Statistics statistics_;
    Frame& frame_;
    interpreter::Cpu& cpu_;
    StateLayout layout_;
    CodeMemory code_;
    Policy policy_;
    Stubs stubs_;
    Trace trace_;
    PathRecorder recorder_;
    std::unordered_set<std::uint64_t> scattered_; // BlockCompiler::look_in_tlb_for
    // Of each block but the first of a path: the traces that go through it.
    std::unordered_multimap<const interpreter::Block*, NativeBlock*> paths_;
    TraceStore* store_;
    std::uint64_t models_ = 0; // fingerprint()
    std::vector<Note> notes_;  // of the trace that is made, for the store
    void (*enter_)(interpreter::Cpu*) = nullptr;
    using HostTrap = std::pair<std::uintptr_t, std::uintptr_t>; // the host instruction, its handler

    // What is in a section of the code's memory.
    struct Section {
        std::vector<std::unique_ptr<NativeBlock>> blocks;
        std::vector<HostTrap> traps; // in order: code grows upwards
    };

    std::array<Section, CodeMemory::sections> sections_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> page_ids_; // by linear and physical page
    std::uint32_t last_page_id_ = 0;
    std::uint64_t evictions_ = 0;        // how often translations were freed
    std::uint64_t until_ = 0;            // in instructions: when `remaining` is 0, if they are counted
    bool smap_ = false;                  // CR4's, when last looked at
    std::array<bool, 2> narrow_jumps_{}; // whether the JumpCaches of supervisor, user are 32-bit code's
    std::array<interpreter::Availability, 2> availabilities_{}; // of SSE and AVX, when last looked at
};

} // namespace strata::cpu::translator
