#include "cpu/translator/vcpu.hpp"

#include "cpu/interpreter/shared.hpp"
#include "cpu/software_vcpu.hpp"
#include "cpu/translation_cache.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/translator/translator.hpp"
#include "cpu/translator/traps.hpp"

namespace strata::cpu::translator {

namespace {

constexpr std::size_t usual_code_size = std::size_t{48} << 20; // address space; memory is what is used of it
constexpr std::size_t most_bytes_of_store = std::size_t{32} << 20;
constexpr std::size_t eager_code_size = std::size_t{2} << 20; // for tests: so that it is often full

class TranslatorVcpu final : public Vcpu, public CountingVcpu {
public:
    TranslatorVcpu(std::unique_ptr<Frame> frame, CodeMemory code, const Policy& policy, TraceStore* store)
        : frame_(std::move(frame)), translator_(*frame_, std::move(code), policy, store) {}

    Exit run() override { return frame_->cpu.run(); }

    [[nodiscard]] Signals& signals() override { return frame_->cpu.signals(); }

    [[nodiscard]] x86::State state() const override { return frame_->cpu.state(); }

    void set_state(const x86::State& state) override { frame_->cpu.set_state(state); }

    void reset() override { frame_->cpu.reset(); }

    void set_debug(const DebugControl& control) override { frame_->cpu.set_debug(control); }

    [[nodiscard]] DebugEvent debug_event() const override { return frame_->cpu.debug_event(); }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const override {
        return frame_->cpu.translate(linear);
    }

    [[nodiscard]] std::uint64_t instructions_retired() const override { return frame_->cpu.retired(); }

    [[nodiscard]] Counts counts() const override { return translator_.statistics().counts(); }

private:
    std::unique_ptr<Frame> frame_;
    Translator translator_;
};

class TranslatorEngine final : public Engine {
public:
    TranslatorEngine(memory::GuestMemory& memory, const Clock& clock, std::string_view name,
                     const Policy& policy, std::size_t code_size)
        : shared_(memory, clock), name_(name), policy_(policy), code_size_(code_size) {}

    [[nodiscard]] std::string_view name() const override { return name_; }

    Result<std::unique_ptr<Vcpu>> create_vcpu(const VcpuConfig& config, Bus& bus) override {
        auto code = CodeMemory::create(code_size_);
        if (!code) {
            return std::unexpected(code.error());
        }
        install_trap_handler();
        // For overwrite: most of the frame's stack is never touched.
        std::unique_ptr<Frame> frame(new Frame(shared_, config, bus));
        const bool kept = config.translations != nullptr;
        if (!kept && (config.count > 1 || policy_.checks) && store_ == nullptr) {
            store_ = std::make_unique<TraceStore>(most_bytes_of_store);
        }
        TraceStore* const store = kept ? &config.translations->store() : store_.get();
        return std::make_unique<TranslatorVcpu>(std::move(frame), std::move(*code), policy_, store);
    }

private:
    interpreter::Shared shared_;
    std::string_view name_;
    Policy policy_;
    std::size_t code_size_;
    std::unique_ptr<TraceStore>
        store_; // for more than one processor, and where all is proved safe, this, too
};

// Translating an instruction costs about as much as interpreting it a hundred times, and what runs that often
// may never run again. A system starts equally fast with 50 to 200; what it does then is fast sooner with
// few.
constexpr Policy usual{.runs_before_translation = 60,
                       .runs_before_reuse = 16,
                       .decoded_bytes = interpreter::BlockCache::usual_bytes,
                       .keeps_all = false,
                       .unrolls_at_once = false,
                       .records_at_once = false,
                       .checks = false};
constexpr Policy checked{.runs_before_translation = 200,
                         .runs_before_reuse = 16,
                         .decoded_bytes = interpreter::BlockCache::usual_bytes,
                         .keeps_all = false,
                         .unrolls_at_once = false,
                         .records_at_once = false,
                         .checks = true};
constexpr Policy eager{.runs_before_translation = 1,
                       .runs_before_reuse = 1,
                       .decoded_bytes = 1 << 20,
                       .keeps_all = true,
                       .unrolls_at_once = true,
                       .records_at_once = true,
                       .checks = true};

} // namespace

Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock) {
    return std::make_unique<TranslatorEngine>(memory, clock, "translator", usual, usual_code_size);
}

Result<std::unique_ptr<Engine>> create_checked_engine(memory::GuestMemory& memory, const Clock& clock) {
    return std::make_unique<TranslatorEngine>(memory, clock, "translator-checked", checked, usual_code_size);
}

Result<std::unique_ptr<Engine>> create_eager_engine(memory::GuestMemory& memory, const Clock& clock) {
    return std::make_unique<TranslatorEngine>(memory, clock, "translator-eager", eager, eager_code_size);
}

} // namespace strata::cpu::translator
