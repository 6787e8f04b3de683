#include "vm/control/requests.hpp"

#include <nlohmann/json.hpp>

namespace strata::vm::control {
namespace {

using nlohmann::json;

json to_json(const Error& error) {
    json body{{"message", error.message}};
    if (!error.hint.empty()) {
        body["hint"] = error.hint;
    }
    return {{"error", body}};
}

json status_of(const Machine& machine) {
    const Status status = machine.status();
    return {{"engine", status.engine},
            {"cpu", status.cpu},
            {"cpus", status.cpus},
            {"memory", status.memory},
            {"paused", status.paused}};
}

json stats_of(const Machine& machine) {
    json vcpus = json::array();
    for (const ExitsByEngine& exits : machine.exits()) {
        vcpus.push_back({{"exits", exits}});
    }
    return {{"vcpus", vcpus}};
}

json status_after(const Machine& machine, const Result<void>& done) {
    return done ? json{{"result", status_of(machine)}} : to_json(done.error());
}

json carry_out(Machine& machine, const json& request) {
    const auto name = request.is_object() ? request.value("request", json()) : json();
    if (name == "status") {
        return {{"result", status_of(machine)}};
    }
    if (name == "stats") {
        return {{"result", stats_of(machine)}};
    }
    if (name == "switch-engine" && request.contains("engine") && request["engine"].is_string()) {
        return status_after(machine, machine.switch_engine(request["engine"].get<std::string>()));
    }
    if (name == "pause" || name == "resume") {
        return status_after(machine, machine.set_paused(name == "pause"));
    }
    return to_json({"no such request", R"(as in {"request": "status"})"});
}

} // namespace

std::string answer(Machine& machine, std::string_view request) {
    const json parsed = json::parse(request, nullptr, false);
    return carry_out(machine, parsed).dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace strata::vm::control
