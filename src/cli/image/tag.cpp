// strata tag: gives an image another name.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"

namespace strata::cli {
namespace {

struct Options {
    std::string source, target;
};

void define(CLI::App& command, Options& options) {
    command.add_option("SOURCE", options.source, "The image: a name or an ID")->required();
    command.add_option("TARGET", options.target, "Its further name, REPOSITORY[:TAG]")->required();
    command.footer("Example:\n  strata tag debian:12 registry.example:5000/base/debian:12");
}

Result<void> tag(const Images& images, Options& options) {
    auto entry = images.find(options.source);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    auto name = image::Reference::parse(options.target);
    if (!name) {
        return std::unexpected(name.error());
    }
    if (name->digest) {
        return std::unexpected(
            Error{"'" + options.target + "': a digest cannot be given as a name", "use a tag"});
    }
    entry->name = std::move(*name);
    entry->repository_digest.reset(); // that was the digest of another name
    const auto text = entry->name->familiar();
    auto named = images.store.name_image(std::move(*entry));
    if (named) {
        tell_of_image(text, "tag");
    }
    return named;
}

} // namespace

void add_tag(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "tag", "Give an image another name", define, tag);
}

} // namespace strata::cli
