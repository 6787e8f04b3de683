#include "cpu/lockstep/leader.hpp"

#include "cpu/translation_cache.hpp"
#include "cpu/translator/translator.hpp"
#include "cpu/translator/traps.hpp"

#include <utility>

namespace strata::cpu::lockstep {
namespace {

constexpr std::size_t code_size = std::size_t{48} << 20;

class TranslatingLeader final : public Leader {
public:
    TranslatingLeader(std::unique_ptr<translator::Frame> frame, translator::CodeMemory code,
                      const translator::Policy& policy, TranslationCache* kept)
        : frame_(std::move(frame)),
          translator_(*frame_, std::move(code), policy, kept == nullptr ? &store_ : &kept->store()) {}

    [[nodiscard]] interpreter::Cpu& cpu() override { return frame_->cpu; }

private:
    std::unique_ptr<translator::Frame> frame_;
    translator::TraceStore store_{std::size_t{32} << 20}; // so that what is reused is compared, too
    translator::Translator translator_;
};

} // namespace

Result<std::unique_ptr<Leader>> make_translating_leader(interpreter::Shared& shared, const VcpuConfig& config,
                                                        Bus& bus, const Pace& pace) {
    auto code = translator::CodeMemory::create(code_size);
    if (!code) {
        return std::unexpected(code.error());
    }
    translator::install_trap_handler();
    // For overwrite: most of the frame's stack is never touched.
    std::unique_ptr<translator::Frame> frame(new translator::Frame(shared, config, bus));
    return std::make_unique<TranslatingLeader>(
        std::move(frame), std::move(*code),
        translator::Policy{.runs_before_translation = pace.runs_before_translation,
                           .runs_before_reuse = pace.runs_before_translation,
                           .decoded_bytes = interpreter::BlockCache::usual_bytes,
                           .keeps_all = pace.runs_before_translation == 1,
                           .unrolls_at_once = true,
                           .records_at_once = pace.runs_before_translation == 1,
                           .checks = false},
        config.translations);
}

} // namespace strata::cpu::lockstep
